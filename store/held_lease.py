"""A lease in a worker's hand: good until a time of the worker's own clock.

Law: whoever writes under it asks `check` right before; what the lease was good for is never guessed
from an answer that has not come.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from store.leases import Lease, LeaseLost


class Timer(Protocol):
    """Time and waiting."""

    def now(self) -> float:
        """Return seconds; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait this long."""
        ...


class SteadyTimer:
    """The machine's steady clock, which also counts the time in which the machine slept."""

    _CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> float:
        """Return seconds since the machine was started."""
        return time.clock_gettime(self._CLOCK)

    async def sleep(self, seconds: float) -> None:
        """Wait this long."""
        await asyncio.sleep(max(0.0, seconds))


class HeldLease:
    """One lease, from the time it was won until its work has ended."""

    def __init__(self, lease: Lease, asked_s: float, timer: Timer) -> None:
        """`asked_s`: when the request was sent that won it, by the timer."""
        self.lease = lease
        self._timer = timer
        self._good_until_s = asked_s + lease.good_for_s
        self.stop = asyncio.Event()
        """Set when the work is not wanted any more: end it in good order."""
        self.lost = asyncio.Event()
        """Set when it is another's, or nobody's any more."""
        self.ended = asyncio.Event()
        """Set when nothing of its work runs any more."""

    @property
    def left_s(self) -> float:
        """How long it is good yet; zero or less once it is over."""
        if self.lost.is_set():
            return 0.0
        return self._good_until_s - self._timer.now()

    def renewed(self, asked_s: float, good_for_s: float) -> None:
        """Take in that a request sent at `asked_s` has renewed it; once over, it stays over."""
        if self.left_s <= 0:
            return
        self._good_until_s = max(self._good_until_s, asked_s + good_for_s)

    def check(self) -> None:
        """Return while it is good.

        Raises:
            LeaseLost: it is over.
        """
        if self.left_s <= 0:
            lease = self.lease
            raise LeaseLost(f"the lease of {lease.kind} {lease.id} (token {lease.token}) is over")
