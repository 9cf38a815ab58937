"""Time that stands still until a test moves it."""

from __future__ import annotations

import asyncio


class HandTimer:
    """Implements `ingest.timer.Timer`; sleepers wake when `advance` passes their time."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Return the pretended Unix time."""
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Wait until a test has moved the time so far."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now_s + seconds, future))
        await future

    @property
    def sleepers(self) -> int:
        """How many wait."""
        return sum(not future.done() for _, future in self._sleepers)

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whoever's time has come."""
        self.now_s += seconds
        for wake_s, future in self._sleepers:
            if wake_s <= self.now_s and not future.done():
                future.set_result(None)
        self._sleepers = [each for each in self._sleepers if not each[1].done()]
