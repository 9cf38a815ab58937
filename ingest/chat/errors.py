"""What can go wrong with chat, by whose fault it is."""

from __future__ import annotations

from ingest.errors import SourceUnusable


class ChatFileError(SourceUnusable):
    """A chat file cannot be read at all; the message says what is expected."""


class ChatAddressError(SourceUnusable):
    """A chat server's address is none; the message says what is expected."""
