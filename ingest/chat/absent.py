"""Chat that nobody reads any more, of a session that began with chat."""

from __future__ import annotations

import math

from ingest.chat.source import ChatBatch


class AbsentChat:
    """A `ChatSource` whose every second is a gap.

    A session that has said that it has chat is waited for on both sides; without windows its
    moments would never be settled.
    """

    def __init__(self, from_s: float) -> None:
        """Tell gaps from media second `from_s` on."""
        self._until_s = from_s

    @property
    def end_s(self) -> float | None:
        """None: nobody knows."""
        return None

    async def open(self, wall_start_s: float | None) -> None:
        """Read nothing."""

    async def drain(self, until_s: float) -> ChatBatch:
        """Return no line, and the seconds since the drain before as gaps."""
        if math.isinf(until_s):
            return ChatBatch(connected=False)
        gaps = frozenset(range(math.floor(self._until_s), math.ceil(until_s)))
        self._until_s = max(self._until_s, until_s)
        return ChatBatch(connected=False, gap_seconds=gaps)

    async def close(self) -> None:
        """Nothing is held."""
