"""Who may work next where there are few places: live before replay, within `bus/precedence.py`.

Law: a turn that has been given is not taken away; nobody holds more than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bus.precedence import REPLAY_SHARE_OF, Precedence


class Turns:
    """A semaphore with two classes of waiters."""

    def __init__(self, places: int, replay_share_of: int = REPLAY_SHARE_OF) -> None:
        """`places`: turns that are held at the same time, one at least."""
        self._free = max(1, places)
        self._waiting: Precedence[asyncio.Future[None]] = Precedence(replay_share_of)

    @property
    def is_free(self) -> bool:
        """There is a place that nobody holds."""
        return self._free > 0

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
        self._waiting.add(given, live=live)
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self._release()
            else:
                self._waiting.leave(given, live=live)
            raise

    def _release(self) -> None:
        while self._waiting:
            given = self._waiting.next()
            if not given.done():
                given.set_result(None)
                return
        self._free += 1
