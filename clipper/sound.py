"""A whole session's sound as curves. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sound:
    """Loudness and voice from media zero to the session's end, one value for each hop."""

    hop_s: float
    rms_db: NDArray[np.float64]
    """dBFS, shape (hops,); NaN where nothing is known."""
    voice_percent: NDArray[np.float64]
    """Share of voice, 0 to 100, of the same shape; NaN where nothing is known."""
