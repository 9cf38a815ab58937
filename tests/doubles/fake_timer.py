"""Time that passes only when nobody has anything else to do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

_QUIET_TURNS = 25
_BUSY_S = 0.001


class FakeTimer:
    """Implements `ingest.timer.Timer`; an hour passes in a moment.

    When the event loop has turned a number of times without anybody going to sleep, the clock
    jumps to the earliest sleeper. `idle_s` gives real sockets that much real time between jumps;
    while `busy` says so, no time passes at all, however slow the machine is.
    """

    def __init__(
        self,
        now_s: float = 1_700_000_000.0,
        idle_s: float = 0.0,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._now_s = now_s
        self._idle_s = idle_s
        self._busy = busy
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._turns = 0
        self._ticking = False

    def now(self) -> float:
        """Return the pretended Unix time."""
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        """Wait until the pretended time has passed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        wake_s = self._now_s + max(0.0, seconds)
        heapq.heappush(self._sleepers, (wake_s, next(self._order), future))
        self._turns = 0
        if not self._ticking:
            self._ticking = True
            self._again(loop)
        await future

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        pause_s = _BUSY_S if self._busy() else self._idle_s / _QUIET_TURNS
        if pause_s:
            loop.call_later(pause_s, self._tick, loop)
        else:
            loop.call_soon(self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            self._ticking = False
            return
        self._turns = 0 if self._busy() else self._turns + 1
        if self._turns > _QUIET_TURNS:
            self._turns = 0
            wake_s, _, future = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, wake_s)
            future.set_result(None)
        self._again(loop)
