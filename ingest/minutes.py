"""Minutes really watched: distinct media seconds that were stored.

Law: milliseconds are counted once, in whole numbers; the minutes told never exceed
floor(distinct stored seconds / 60).
"""

from __future__ import annotations

_MINUTE_MS = 60_000


class MinuteCount:
    """Folds stored spans, in media order, into full minutes."""

    def __init__(self) -> None:
        self._stored_ms = 0
        self._covered_ms = 0

    @property
    def stored_s(self) -> float:
        """Distinct media seconds so far."""
        return self._stored_ms / 1000

    def add(self, start_s: float, end_s: float) -> list[tuple[int, float]]:
        """Count a stored span; return (minute, media second) of each minute that it fills."""
        start_ms = max(round(start_s * 1000), self._covered_ms)
        end_ms = round(end_s * 1000)
        if end_ms <= start_ms:
            return []
        before = self._stored_ms
        self._stored_ms += end_ms - start_ms
        self._covered_ms = end_ms
        full = range(before // _MINUTE_MS, self._stored_ms // _MINUTE_MS)
        return [(minute, (start_ms + (minute + 1) * _MINUTE_MS - before) / 1000) for minute in full]
