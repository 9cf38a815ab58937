"""Measures loudness and voice in hops on the media clock.

Law: a sample counts in the hop that its own media time lies in, whichever segment it came with;
time without samples is not filled with its neighbours' sound, save for the tail named below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.sound import FLOOR_DB, HOP_S, RATE_HZ
from detectors.voice import Flags, Pcm

_CARRY_MAX_S = 10.0
_TAIL_MAX_S = 0.25
"""Sound may lie this much later in the stream than the picture it belongs to. The hops that it
leaves without a sample at a segment's end repeat the hop before them: silence would be a lie."""
_FULL_SCALE = 32768.0**2


@dataclass(frozen=True, slots=True)
class Hops:
    """A segment in hops; the last one may be shorter."""

    rms_db: tuple[float, ...]
    voice: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    start_s: float
    pcm: Pcm
    voiced: Flags

    @property
    def end_s(self) -> float:
        return self.start_s + len(self.pcm) / RATE_HZ


class HopMeter:
    """Collects sound and gives it out segment by segment."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []

    def add(self, start_s: float, pcm: Pcm, voiced: Flags) -> None:
        """Take sound whose first sample stands at `start_s`, with a voice flag a sample."""
        if len(pcm):
            self._blocks.append(_Block(start_s, pcm, voiced))

    def take(self, start_s: float, duration_s: float) -> Hops | None:
        """Measure a segment and keep only what lies after it; None without any sound in it."""
        end_s = start_s + duration_s
        count = max(1, math.ceil(duration_s / HOP_S - 1e-6))
        borders_s = np.minimum(start_s + HOP_S * np.arange(count + 1), end_s)
        power = np.zeros(count)
        voiced = np.zeros(count)
        samples = np.zeros(count)
        for block in self._blocks:
            borders = np.rint((borders_s - block.start_s) * RATE_HZ)
            at = np.clip(borders, 0, len(block.pcm)).astype(np.intp)
            power += _sums(block.pcm.astype(np.float64) ** 2, at)
            voiced += _sums(block.voiced, at)
            samples += np.diff(at)
        self._keep_after(end_s)
        if not samples.any():
            return None
        _repeat_tail(power, voiced, samples)
        return _as_hops(power, voiced, samples)

    def _keep_after(self, end_s: float) -> None:
        kept = []
        for block in self._blocks:
            gone = max(0, round((end_s - block.start_s) * RATE_HZ))
            if gone < len(block.pcm) and block.start_s < end_s + _CARRY_MAX_S:
                kept.append(
                    _Block(block.start_s + gone / RATE_HZ, block.pcm[gone:], block.voiced[gone:])
                )
        self._blocks = kept


def _sums(values: NDArray[np.float64] | Flags, at: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the sums of `values` between neighbouring borders."""
    totals = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    sums: NDArray[np.float64] = np.diff(totals[at])
    return sums


def _repeat_tail(
    power: NDArray[np.float64], voiced: NDArray[np.float64], samples: NDArray[np.float64]
) -> None:
    last = int(np.flatnonzero(samples)[-1])
    if 0 < len(samples) - 1 - last <= round(_TAIL_MAX_S / HOP_S):
        for values in (power, voiced, samples):
            values[last + 1 :] = values[last]


def _as_hops(
    power: NDArray[np.float64], voiced: NDArray[np.float64], samples: NDArray[np.float64]
) -> Hops:
    heard = np.maximum(samples, 1)
    with np.errstate(divide="ignore"):
        rms_db = 10 * np.log10(power / heard / _FULL_SCALE)
    rms_db = np.maximum(np.round(rms_db, 1), FLOOR_DB)
    share = np.rint(100 * voiced / heard).astype(int)
    return Hops(tuple(rms_db.tolist()), tuple(share.tolist()))
