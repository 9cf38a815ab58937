"""How far the detectors have come: what holds a replay back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bus.events import MomentsSettled
from bus.ports import Bus, Subscription

_BATCH = 500


class Pace:
    """Follows one session's `MomentsSettled`, with a group that never commits."""

    def __init__(self, moments: Subscription, session_id: str) -> None:
        self._moments = moments
        self._session_id = session_id
        self.settled_s = 0.0

    async def follow(self, timeout_s: float) -> None:
        """Read what has been settled; wait at most `timeout_s` for news."""
        for record in await self._moments.fetch(_BATCH, timeout_s):
            event = record.event
            if isinstance(event, MomentsSettled) and event.session_id == self._session_id:
                self.settled_s = max(self.settled_s, event.media_s)


@asynccontextmanager
async def pace_of(bus: Bus, session_id: str) -> AsyncIterator[Pace]:
    """Follow a session for as long as the context is open."""
    async with bus.subscribe(f"pace-{uuid.uuid4().hex}", ("moments",)) as moments:
        yield Pace(moments, session_id)
