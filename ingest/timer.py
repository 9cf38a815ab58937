"""The only clock that pullers know, so that a test can drive it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Timer(Protocol):
    """Time and waiting."""

    def now(self) -> float:
        """Return Unix seconds; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait this long."""
        ...


class WallTimer:
    """The machine's time, read once and carried on by its steady clock."""

    def __init__(self) -> None:
        self._zero_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Return Unix seconds; a set-back of the machine's clock does not show."""
        return self._zero_s + time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait this long."""
        await asyncio.sleep(max(0.0, seconds))
