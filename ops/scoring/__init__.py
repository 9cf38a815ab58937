"""Measures detectors on chat that people have labelled."""
