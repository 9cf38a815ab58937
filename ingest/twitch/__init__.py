"""Twitch's streams and VODs, as addresses."""
