"""Where chat comes from: the one shape that the watch knows.

Law: a reader hands every line over once, in the order of its time, and never waits for chat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ingest.chat.line import ChatLine


@dataclass(frozen=True, slots=True)
class ChatNotice:
    """Something about chat that a person should know."""

    reason: str
    """A short stable word."""
    detail: str


@dataclass(frozen=True, slots=True)
class ChatBatch:
    """The lines that were sent before a media time and have not been handed over yet."""

    lines: tuple[ChatLine, ...] = ()
    """Sorted by `t_s`; one that arrived late may lie before what was drained earlier."""
    connected: bool = True
    """False when the reader is cut off now."""
    gap_seconds: frozenset[int] = frozenset()
    """Whole media seconds in which the reader was cut off: their silence is no sign."""
    dropped: int = 0
    """Lines lost since the drain before: a full buffer, a malformed line of a file."""
    notices: tuple[ChatNotice, ...] = ()
    """What has happened since the drain before that a person should know."""


class ChatSource(Protocol):
    """A reader of one channel's or one video's chat."""

    @property
    def end_s(self) -> float | None:
        """Media time of the last line that will ever come; None while nobody knows."""
        ...

    async def open(self, wall_start_s: float | None) -> None:
        """Start to read.

        Args:
            wall_start_s: Unix time of media second zero, when it is known; lines that tell when
                they were sent are put on the media clock by it.

        Raises:
            ChatFileError: a chat file cannot be read at all.
        """
        ...

    async def drain(self, until_s: float) -> ChatBatch:
        """Return the lines before media time `until_s` that have not been returned yet.

        Raises:
            ChatFileError: a chat file turns out not to be one.
        """
        ...

    async def close(self) -> None:
        """Stop to read and let everything go; calling it again does nothing."""
        ...
