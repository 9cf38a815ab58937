"""How far the detectors have come, and live with them: what holds a replay back."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bus.events import LiveLagged, MomentsSettled
from bus.ports import Bus, Meter, Subscription
from ingest.pressure import Pressure
from ingest.settings import IngestSettings

log = logging.getLogger(__name__)

_BATCH = 500
_LOOK_EVERY_S = 0.5
_BATCHES_MAX = 100
"""A look reads on while there is more, so that it ends at what was said last."""


class Pace:
    """Follows one replay's `MomentsSettled` and live's lag, with a group that never commits."""

    def __init__(
        self,
        moments: Subscription,
        session_id: str,
        settings: IngestSettings,
        clock: Callable[[], float],
        meter: Meter,
    ) -> None:
        """`clock` tells Unix seconds."""
        self._moments = moments
        self._session_id = session_id
        self._settings = settings
        self._clock = clock
        self._meter = meter
        self._pressure = Pressure(settings.pressed_believed_s)
        self._looked_s = -math.inf
        self._held_back = False
        self.settled_s = 0.0

    def allows(self, media_s: float) -> bool:
        """Say whether the replay may go on to this media time."""
        is_pressed = self._pressure.is_on(self._clock())
        if is_pressed is not self._held_back:
            self._held_back = is_pressed
            log.info(
                "replay held back for live" if is_pressed else "replay no longer held back",
                extra={"session_id": self._session_id},
            )
            if is_pressed:
                self._meter.count("clipthat_replay_holds_total")
        settings = self._settings
        ahead_s = min(settings.ahead_s, settings.ahead_pressed_s if is_pressed else math.inf)
        return media_s <= self.settled_s + ahead_s

    async def look(self) -> None:
        """Read what has been told by now, unless that has just been done."""
        now_s = self._clock()
        if 0 <= now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        for _ in range(_BATCHES_MAX):
            if await self.follow(0.0) < _BATCH:
                return

    async def follow(self, timeout_s: float) -> int:
        """Read what has been told; wait at most `timeout_s` for news; return how much it was."""
        records = await self._moments.fetch(_BATCH, timeout_s)
        for record in records:
            event = record.event
            if isinstance(event, LiveLagged):
                self._pressure.note(event, record.published_at_s)
            elif isinstance(event, MomentsSettled) and event.session_id == self._session_id:
                self.settled_s = max(self.settled_s, event.media_s)
        return len(records)


@asynccontextmanager
async def pace_of(
    bus: Bus,
    session_id: str,
    settings: IngestSettings,
    clock: Callable[[], float],
    meter: Meter,
) -> AsyncIterator[Pace]:
    """Follow a session for as long as the context is open."""
    async with bus.subscribe(f"pace-{uuid.uuid4().hex}", ("moments",)) as moments:
        yield Pace(moments, session_id, settings, clock, meter)
