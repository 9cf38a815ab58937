"""The media clock: where a segment stands, by its date when it has one, else by durations.

Law: the clock never goes backwards. A date that jumps back, or further ahead than anyone would
wait, is a changed wall clock: the media clock goes on without a hole and takes the new date from
there.
"""

from __future__ import annotations

from dataclasses import dataclass

PTS_WRAP_S = 2**33 / 90_000
"""Seconds after which the 33-bit timestamps of a transport stream begin again."""

_TOLERANCE_S = 0.75
_JUMP_MAX_S = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where something begins on the media clock."""

    media_s: float
    hole_s: float
    """Media time before it that nothing covers."""
    jumped: bool
    """The dates do not fit those before; the wall clock was changed."""


class MediaClock:
    """Folds dates and durations into media time."""

    def __init__(self, zero_s: float | None = None, end_s: float = 0.0) -> None:
        """Begin at `end_s`; `zero_s` is the date of media second zero, when one is known."""
        self._zero_s = zero_s
        self.end_s = end_s

    def place(self, pdt_s: float | None, duration_s: float) -> Place:
        """Place the next span and move the clock to its end."""
        expected_s = self.end_s
        media_s, hole_s, jumped = expected_s, 0.0, False
        if pdt_s is not None:
            if self._zero_s is None:
                self._zero_s = pdt_s - expected_s
            offset_s = pdt_s - self._zero_s - expected_s
            if offset_s < -_TOLERANCE_S or offset_s > _JUMP_MAX_S:
                self._zero_s = pdt_s - expected_s
                jumped = True
            else:
                media_s = max(0.0, expected_s + offset_s)
                hole_s = offset_s if offset_s > _TOLERANCE_S else 0.0
        self.end_s = max(expected_s, media_s + duration_s)
        return Place(media_s, hole_s, jumped)

    def span_until(self, pdt_s: float | None) -> float | None:
        """Return the media seconds from the clock's end to a date, None when that is not known."""
        if pdt_s is None or self._zero_s is None:
            return None
        span_s = pdt_s - self._zero_s - self.end_s
        return span_s if 0 <= span_s <= _JUMP_MAX_S else None

    def skip(self, duration_s: float) -> float:
        """Move on by a span without a date; return where it begins."""
        start_s = self.end_s
        self.end_s += duration_s
        return start_s


def unwrap(pts_s: float, expected_s: float) -> float:
    """Return the timestamp shifted by whole 33-bit turns to lie nearest to `expected_s`."""
    return pts_s + round((expected_s - pts_s) / PTS_WRAP_S) * PTS_WRAP_S
