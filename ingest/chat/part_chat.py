"""The chat of a whole VOD, read for a part of it.

Law: what goes in counts from the whole's beginning, what comes out from the part's; lines before
the part are let go a little at a time, never gathered.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol, runtime_checkable

from ingest.chat.source import ChatBatch, ChatNotice, ChatSource

_BEFORE_S = 30.0
"""Lines of so long before the first open second are kept: caps and echoes remember them."""
_STEP_S = 300.0


@runtime_checkable
class Seekable(Protocol):
    """A chat that can begin elsewhere than at its beginning."""

    def begin_at(self, t_s: float) -> None:
        """Leave out what was sent before `t_s`; called before the first drain."""
        ...


class PartChat:
    """A `ChatSource` that puts another one's lines on the media clock of a part."""

    def __init__(self, whole: ChatSource, zero_s: float, from_s: float = 0.0) -> None:
        """`zero_s`: media second zero in the whole; `from_s`: the first second that is open."""
        self._whole = whole
        self._zero_s = zero_s
        self._first_s = zero_s + from_s - _BEFORE_S
        self._skipped_s = 0.0
        if isinstance(whole, Seekable):
            whole.begin_at(max(0.0, self._first_s))
            self._skipped_s = self._first_s

    @property
    def end_s(self) -> float | None:
        """Media time of the last line that will ever come."""
        end_s = self._whole.end_s
        return None if end_s is None else max(0.0, end_s - self._zero_s)

    async def open(self, wall_start_s: float | None) -> None:
        """Start to read; see `ChatSource.open`."""
        before = None if wall_start_s is None else wall_start_s - self._zero_s
        await self._whole.open(before)

    async def drain(self, until_s: float) -> ChatBatch:
        """Return the part's lines before `until_s`; see `ChatSource.drain`."""
        dropped = 0
        notices: list[ChatNotice] = []
        while self._skipped_s < self._first_s:
            self._skipped_s = min(self._skipped_s + _STEP_S, self._first_s)
            skipped = await self._whole.drain(self._skipped_s)
            dropped += skipped.dropped
            notices += skipped.notices
        batch = await self._whole.drain(until_s + self._zero_s)
        zero_s = self._zero_s
        return replace(
            batch,
            lines=tuple(replace(line, t_s=line.t_s - zero_s) for line in batch.lines),
            gap_seconds=frozenset(
                touched
                for second in batch.gap_seconds
                for touched in (math.floor(second - zero_s), math.ceil(second - zero_s))
            ),
            dropped=batch.dropped + dropped,
            notices=(*notices, *batch.notices),
        )

    async def close(self) -> None:
        """Stop to read."""
        await self._whole.close()
