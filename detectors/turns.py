"""Who may use a processor next: live sessions before replays, first come first served.

Law: a turn that has been given is not taken away; nobody holds more than one.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """A semaphore with two classes of waiters."""

    def __init__(self, places: int) -> None:
        self._free = max(1, places)
        self._order = itertools.count()
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, *, live: bool) -> AsyncIterator[None]:
        """Hold one of the places for the length of the block."""
        await self._acquire(live)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, live: bool) -> None:
        if self._free > 0:
            self._free -= 1
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not live, next(self._order), given))
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            _, _, given = heapq.heappop(self._waiting)
            if not given.done():
                given.set_result(None)
                return
        self._free += 1
