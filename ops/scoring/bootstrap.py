"""Says how sure a mean over few videos is.

Law: whole videos are drawn again, with one seed for all rows, so that differences are paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the middle 95 % of its bootstrap draws."""

    mean: float
    low: float
    high: float
    above_zero: float
    """Share of the draws that lie above zero; telling for differences only."""


def interval(per_video: NDArray[np.float64], seed: int) -> Interval:
    """Return the mean over videos and its interval.

    Args:
        per_video: one figure, or one paired difference, for each video.
        seed: the same seed and the same number of videos draw the same videos.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(per_video), size=(DRAWS, len(per_video)))
    means = per_video[drawn].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(
        mean=float(per_video.mean()),
        low=float(low),
        high=float(high),
        above_zero=float((means > 1e-12).mean()),
    )
