"""Measurements against what one would use instead; see bench/README.md."""
