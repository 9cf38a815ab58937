"""How often channels may be joined.

Law: pure. In no stretch of time as long as the window are there more joins than allowed, however
they fall; a bucket that refills would let nearly twice as many through.
"""

from __future__ import annotations

from collections import deque


class JoinBudget:
    """The latest joins of the whole process."""

    def __init__(self, joins_max: int, window_s: float) -> None:
        """Allow `joins_max` joins within any `window_s` seconds."""
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=joins_max)

    def wait_s(self, now_s: float) -> float:
        """Return how long the next join has to wait; 0 when it may go now."""
        if len(self._times) < (self._times.maxlen or 0):
            return 0.0
        return max(0.0, self._times[0] + self._window_s - now_s)

    def spend(self, now_s: float) -> None:
        """Note a join that goes out now."""
        self._times.append(now_s)
