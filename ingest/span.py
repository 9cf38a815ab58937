"""The part of a VOD or file that is wanted.

Law: pure; whole segments that touch the span belong to it, so that the first one's start is media
second zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ingest.errors import SourceUnusable

_TOUCH_S = 0.001
_BEYOND_S = 15.0
"""A list may be a little shorter than the page says."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_s` up to `stop_s`, in the time of the whole; None: to its end."""

    start_s: float = 0.0
    stop_s: float | None = None

    def of(self, name: str) -> str:
        """Return what this part of something is called: another part is another thing."""
        if self == WHOLE:
            return name
        stop = "" if self.stop_s is None else f"{self.stop_s:g}"
        return f"{name}@{self.start_s:g}-{stop}"

    def pick(self, durations_s: Sequence[float], shown: str) -> tuple[int, int]:
        """Return the first wanted segment's place, and the one behind the last wanted one.

        Raises:
            SourceUnusable: it begins or ends behind the end of `shown`.
        """
        ends_s = list(accumulate(durations_s))
        first = next((n for n, s in enumerate(ends_s) if s > self.start_s + _TOUCH_S), None)
        if first is None:
            raise SourceUnusable(
                f"{shown} is {clock(ends_s[-1] if ends_s else 0.0)} long; there is nothing at"
                f" {clock(self.start_s)}"
            )
        if self.stop_s is None:
            return first, len(ends_s)
        if self.stop_s > ends_s[-1] + _BEYOND_S:
            raise SourceUnusable(
                f"{shown} is {clock(ends_s[-1])} long; it does not reach to {clock(self.stop_s)}"
            )
        starts_s = [end_s - length_s for end_s, length_s in zip(ends_s, durations_s, strict=True)]
        last = sum(start_s < self.stop_s - _TOUCH_S for start_s in starts_s)
        return first, max(last, first + 1)


WHOLE = Span()


def clock(seconds: float) -> str:
    """Return `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
