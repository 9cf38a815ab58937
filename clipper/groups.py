"""Which pictures a source cut keeps, and where the exact clip lies in it.

Law: pure. A cut begins with a key frame that is shown at or before the clip's first picture, ends
with a whole group of pictures, and holds no picture that cannot be decoded from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_SAME_S = 0.001
_LONG_FRAME_S = 0.1
"""A picture that stands longer than this may be cut within."""
_FRAME_S = 1 / 30


@dataclass(frozen=True, slots=True)
class Picture:
    """A coded picture's times in seconds, in decoding order."""

    pts_s: float
    dts_s: float
    is_key: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is kept of one part, in that part's own time."""

    kept: tuple[int, ...]
    """Indexes in decoding order; the first is a key frame, and the first one shown."""
    zero_s: float
    """When the first kept picture is shown."""
    in_s: float
    """When the clip's first picture is shown."""
    out_s: float
    """The first instant that does not belong to the clip."""
    frame_s: float
    """How long a picture stands, usually."""


def choose_pictures(pictures: Sequence[Picture], start_s: float, end_s: float) -> Chosen | None:
    """Choose whole groups for the window [start_s, end_s); None when no picture of it is there.

    Pictures that lead an open group in showing order, but follow its key frame in decoding order,
    need the group before: at the cut's beginning they are left out.
    """
    keys = [at for at, picture in enumerate(pictures) if picture.is_key]
    if not keys:
        return None
    before = [at for at in keys if pictures[at].pts_s <= start_s + _SAME_S]
    first = before[-1] if before else keys[0]
    behind = (at for at in keys if at > first and pictures[at].dts_s >= end_s - _SAME_S)
    stop = next(behind, len(pictures))
    zero_s = pictures[first].pts_s
    kept = tuple(at for at in range(first, stop) if pictures[at].pts_s >= zero_s)
    shown = sorted(pictures[at].pts_s for at in kept)
    frame_s = median(b - a for a, b in pairwise(shown)) if len(shown) > 1 else _FRAME_S
    in_s = _edge(shown, start_s, max(start_s, zero_s))
    if in_s is None or in_s >= end_s - _SAME_S:
        return None
    out_s = _edge(shown, end_s, end_s)
    if out_s is None:
        out_s = shown[-1] + frame_s
    return Chosen(kept=kept, zero_s=zero_s, in_s=in_s, out_s=out_s, frame_s=frame_s)


def _edge(shown: Sequence[float], wished_s: float, within_s: float) -> float | None:
    """Return when the first picture at or after a time is shown; inside a long one, the time."""
    edge_s = next((pts_s for pts_s in shown if pts_s >= wished_s - _SAME_S), None)
    if edge_s is not None and edge_s - within_s > _LONG_FRAME_S:
        return within_s
    return edge_s


def frame_rate(shown: Sequence[float]) -> float:
    """Return pictures a second of times in showing order; a usual rate when it is near one."""
    if len(shown) < 2 or shown[-1] <= shown[0]:
        return 0.0
    rate = (len(shown) - 1) / (shown[-1] - shown[0])
    usual = (24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60, 120)
    nearest = min(usual, key=lambda each: abs(each - rate))
    return round(nearest if abs(nearest - rate) / rate < 0.0008 else rate, 3)
