"""The liveliest stretches of a whole recording by its sound, for when no detector saw enough.

Law: pure; the whole session is looked at, future included, and silence or missing sound is never
lively.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipper.sound import Sound

GRID_S = 0.5
_SMOOTH_S = 6.0
"""A stretch is as lively as its sound is over this long."""
_SILENT_DB = -60.0
_DEVIATION_MIN_DB = 1.5
"""Sound that hardly changes is not told apart by its smallest ripples."""
_VOICE_WEIGHT = 1.5
"""A stretch of pure voice counts as much as this many deviations of loudness."""
_STRENGTH_MIN = 0.5
"""Weaker than this, a stretch is like the rest of the recording."""
_HALF_STRENGTH = 3.0
"""Strength whose score is one half."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LivelyStretch:
    """A peak of the sound. Times are media seconds."""

    peak_s: float
    score: float
    """0 to 1, rising with the strength; comparable within one session."""
    rise_db: float
    """Louder than the session's middle by this much."""
    voice: float
    """Share of voice, 0 to 1."""


def liveliest(
    sound: Sound, count: int, apart_s: float, taken_s: Sequence[float] = ()
) -> list[LivelyStretch]:
    """Return at most `count` stretches, the liveliest first.

    Args:
        apart_s: least distance between two peaks, and from a peak to each time of `taken_s`.
        taken_s: peaks of clips that stand already; without any, the first stretch is given even
            when it is like the rest, so that a recording with sound is never without a clip.
    """
    if len(sound.rms_db) == 0:
        return []
    level = _smoothed(_on_grid(sound.rms_db, sound.hop_s))
    voice = np.nan_to_num(_smoothed(_on_grid(sound.voice_percent, sound.hop_s))) / 100
    heard = level > _SILENT_DB
    if not heard.any():
        return []
    middle_db = float(np.median(level[heard]))
    deviation_db = 1.4826 * float(np.median(np.abs(level[heard] - middle_db)))
    loud = (level - middle_db) / max(deviation_db, _DEVIATION_MIN_DB)
    strength = loud + _VOICE_WEIGHT * (voice - float(np.median(voice[heard])))
    strength[~heard] = -np.inf
    times_s = (np.arange(len(strength)) + 0.5) * GRID_S
    for peak_s in taken_s:
        strength[np.abs(times_s - peak_s) < apart_s] = -np.inf
    found: list[LivelyStretch] = []
    while len(found) < count:
        at = int(np.argmax(strength))
        is_only = not found and not taken_s
        if not np.isfinite(strength[at]) or (strength[at] < _STRENGTH_MIN and not is_only):
            break
        strong = max(0.0, float(strength[at]))
        found.append(
            LivelyStretch(
                peak_s=float(times_s[at]),
                score=strong / (strong + _HALF_STRENGTH),
                rise_db=round(float(level[at]) - middle_db, 1),
                voice=round(float(voice[at]), 2),
            )
        )
        strength[np.abs(times_s - times_s[at]) < apart_s] = -np.inf
    return found


def _on_grid(values: NDArray[np.float64], hop_s: float) -> NDArray[np.float64]:
    """Return the mean of the known values of each cell of the grid; NaN where there is none."""
    each = max(1, round(GRID_S / hop_s))
    cells = np.full((-(-len(values) // each), each), np.nan)
    cells.flat[: len(values)] = values
    return _mean(np.nan_to_num(cells).sum(axis=1), np.isfinite(cells).sum(axis=1).astype(float))


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted mean of the known values around each cell."""
    cells = round(_SMOOTH_S / GRID_S)
    window = np.hanning(cells + 3)[1:-1]
    known = np.isfinite(values)
    total = _same(np.nan_to_num(values), window)
    smooth = _mean(total, _same(known.astype(float), window))
    smooth[~known] = np.nan
    return smooth


def _same(values: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    lead = len(window) // 2
    return np.convolve(values, window)[lead : lead + len(values)]


def _mean(total: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = np.full_like(total, np.nan)
    np.divide(total, weight, out=mean, where=weight > 0)
    return mean
