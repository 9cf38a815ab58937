"""What a detector is.

Law: a detector is pure. It sees events in media order, keeps its own state for one session, and
what it answers follows from what it was fed and from nothing else.
"""

from __future__ import annotations

from typing import Protocol

from bus.events import Event, MomentDetected


class Detector(Protocol):
    """Turns the features and the chat of one session into moments."""

    @property
    def name(self) -> str:
        """The `kind` of its moments, such as `chat_spike`."""
        ...

    @property
    def wants(self) -> tuple[type[Event], ...]:
        """The event types that `feed` is called with."""
        ...

    def feed(self, event: Event) -> list[MomentDetected]:
        """Take the next event and return the moments that are decided now."""
        ...

    def flush(self) -> list[MomentDetected]:
        """Return what is still held back: nothing more will be fed."""
        ...
