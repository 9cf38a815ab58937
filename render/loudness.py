"""How loud a clip is and what to do about it.

Law: pure; it reads what `ebur128` printed and answers with filters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from render.settings import RenderSettings

_INTEGRATED = re.compile(r"\bI:\s+(-?[\d.]+|-inf|nan) LUFS")
_PEAK = re.compile(r"\bPeak:\s+(-?[\d.]+|-inf|nan) dBFS")
_SILENCE_LUFS = -70.0
_LIMITER_MARGIN_DB = 0.5


@dataclass(frozen=True, slots=True)
class Loudness:
    """Of a whole clip."""

    integrated_lufs: float
    """-70 is the meter's floor: silence."""
    peak_dbtp: float


def read_loudness(printed: str) -> Loudness | None:
    """Return the last summary of `ebur128=peak=true`, or None when there is none."""
    summary = printed.rpartition("Summary:")[2]
    integrated, peak = _INTEGRATED.search(summary), _PEAK.search(summary)
    if integrated is None or peak is None:
        return None
    return Loudness(_number(integrated[1]), _number(peak[1]))


def _number(text: str) -> float:
    value = float(text)
    return _SILENCE_LUFS if value != value else max(_SILENCE_LUFS, value)


def is_near_silence(loudness: Loudness, settings: RenderSettings) -> bool:
    """Say whether there is nothing in it worth raising."""
    return loudness.integrated_lufs < settings.loudness_floor_lufs


def gain_db(loudness: Loudness, settings: RenderSettings) -> float:
    """Return the gain that brings the clip to its loudness."""
    if is_near_silence(loudness, settings):
        return 0.0
    return min(settings.gain_max_db, settings.loudness_lufs - loudness.integrated_lufs)


def needs_limiter(loudness: Loudness, gain: float, settings: RenderSettings) -> bool:
    """Say whether peaks would come over the ceiling with this gain."""
    return loudness.peak_dbtp + gain > settings.peak_dbtp - _LIMITER_MARGIN_DB


def level_filters(loudness: Loudness, gain: float, settings: RenderSettings) -> str:
    """Return the filters that apply the gain, with a limiter where peaks call for one.

    The limiter works at four times the rate, so that it sees peaks between samples too.
    """
    filters = [f"volume={gain:.2f}dB"]
    if needs_limiter(loudness, gain, settings):
        ceiling = 10 ** ((settings.peak_dbtp - _LIMITER_MARGIN_DB) / 20)
        filters += [
            "aresample=192000",
            f"alimiter=limit={ceiling:.4f}:level=false:latency=true:attack=5:release=50",
            "aresample=48000",
        ]
    return ",".join(filters)
