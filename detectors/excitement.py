"""The streamer got loud: a raised voice becomes a moment.

Law: loud means against this channel's own past, nothing else; it looks ahead of a burst by
`hold_s` at most, and a gap is neither loud nor quiet.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from bus.events import Event, LoudnessMeasured, MomentDetected, SessionStarted
from detectors.settings import ExcitementSettings
from detectors.sound import FLOOR_DB

_SMOOTH_HOPS = 5
_BIN_HOPS = 10
_MAD_TO_DEVIATION = 1.4826
_STRENGTH_DB = 12.0
"""So much above the least rise is as strong as it gets."""


@dataclass(frozen=True, slots=True)
class _Usual:
    """The channel's usual loudness."""

    level_db: float
    spread_db: float


@dataclass(slots=True)
class _Burst:
    start_s: float
    loud_until_s: float
    peak_s: float
    peak_rise_db: float
    loud_hops: int
    usual_db: float
    deviations: float
    voice_sum: float = 0.0


class Baseline:
    """Median and spread of the loudness of past seconds, those without sound left out."""

    def __init__(self, baseline_s: float, warmup_s: float, spread_min_db: float) -> None:
        bin_s = _BIN_HOPS * 0.1
        self._bins: deque[float] = deque(maxlen=max(1, round(baseline_s / bin_s)))
        self._warmup = max(1, round(warmup_s / bin_s))
        self._spread_min_db = spread_min_db
        self._power: list[float] = []
        self.usual: _Usual | None = None
        """None while warming up."""

    def add(self, rms_db: float) -> None:
        """Take a hop."""
        self._power.append(10 ** (rms_db / 10))
        if len(self._power) < _BIN_HOPS:
            return
        self._bins.append(10 * math.log10(sum(self._power) / len(self._power)))
        self._power.clear()
        if len(self._bins) >= self._warmup:
            level_db = median(self._bins)
            off_db = median(abs(each - level_db) for each in self._bins)
            spread_db = max(self._spread_min_db, _MAD_TO_DEVIATION * off_db)
            self.usual = _Usual(level_db, spread_db)


class Excitement:
    """Detector `excitement`."""

    name = "excitement"
    wants: ClassVar[tuple[type[Event], ...]] = (LoudnessMeasured,)

    def __init__(self, started: SessionStarted, settings: ExcitementSettings | None = None) -> None:
        self._started = started
        self._settings = settings or ExcitementSettings()
        self._baseline = Baseline(
            self._settings.baseline_s, self._settings.warmup_s, self._settings.spread_min_db
        )
        self._recent: deque[tuple[float, float]] = deque(maxlen=_SMOOTH_HOPS)
        self._burst: _Burst | None = None
        self._last_peak_s = -math.inf

    def feed(self, event: Event) -> list[MomentDetected]:
        """Take a segment's hops."""
        if not isinstance(event, LoudnessMeasured):
            return []
        moments: list[MomentDetected] = []
        if event.gap:
            self._recent.clear()
        else:
            for at, (rms_db, voice) in enumerate(zip(event.rms_db, event.voice, strict=False)):
                start_s = event.media_s + at * event.hop_s
                self._take_hop(start_s, event.hop_s, rms_db, voice / 100)
                moments += self._close_if_over(start_s + event.hop_s, event.end_s)
        moments += self._close_if_over(event.end_s, event.end_s)
        return moments

    def flush(self) -> list[MomentDetected]:
        """Decide on the burst that the end has cut off."""
        return self._close(self._burst.loud_until_s) if self._burst else []

    def _take_hop(self, start_s: float, hop_s: float, rms_db: float, voice: float) -> None:
        if rms_db <= FLOOR_DB:
            self._recent.clear()
            return
        self._recent.append((10 ** (rms_db / 10), voice))
        usual = self._baseline.usual
        self._baseline.add(rms_db)
        if usual is None or len(self._recent) < _SMOOTH_HOPS:
            return
        power = sum(power for power, _ in self._recent) / _SMOOTH_HOPS
        rise_db = 10 * math.log10(power) - usual.level_db
        voice_share = sum(share for _, share in self._recent) / _SMOOTH_HOPS
        deviations = rise_db / usual.spread_db
        settings = self._settings
        is_loud = (
            rise_db >= settings.rise_min_db
            and deviations >= settings.deviations_min
            and voice_share >= settings.voice_min
        )
        if is_loud:
            middle_s = start_s + hop_s - _SMOOTH_HOPS * hop_s / 2
            self._grow(start_s, hop_s, middle_s, rise_db, deviations, voice_share, usual)

    def _grow(
        self,
        start_s: float,
        hop_s: float,
        middle_s: float,
        rise_db: float,
        deviations: float,
        voice: float,
        usual: _Usual,
    ) -> None:
        burst = self._burst
        if burst is None:
            begin_s = middle_s
            burst = _Burst(begin_s, begin_s, middle_s, -math.inf, 0, usual.level_db, deviations)
            self._burst = burst
        burst.loud_until_s = start_s + hop_s
        burst.loud_hops += 1
        burst.voice_sum += voice
        if rise_db > burst.peak_rise_db:
            burst.peak_s, burst.peak_rise_db, burst.deviations = middle_s, rise_db, deviations

    def _close_if_over(self, now_s: float, decided_s: float) -> list[MomentDetected]:
        burst, settings = self._burst, self._settings
        if burst is None:
            return []
        is_calm = now_s - burst.loud_until_s >= settings.hold_s
        is_long = now_s - burst.start_s >= settings.burst_max_s
        return self._close(decided_s) if is_calm or is_long else []

    def _close(self, decided_s: float) -> list[MomentDetected]:
        burst, self._burst = self._burst, None
        settings = self._settings
        if burst is None or burst.loud_hops * 0.1 < settings.sustained_s:
            return []
        if burst.peak_s - self._last_peak_s < settings.refractory_s:
            return []
        self._last_peak_s = burst.peak_s
        return [self._moment(burst, decided_s)]

    def _moment(self, burst: _Burst, decided_s: float) -> MomentDetected:
        settings = self._settings
        loud_s = burst.loud_hops * 0.1
        strength = (burst.peak_rise_db - settings.rise_min_db) / _STRENGTH_DB
        lasting = min(1.0, loud_s / (3 * settings.sustained_s))
        share = 0.4 + 0.4 * min(1.0, max(0.0, strength)) + 0.2 * lasting
        return MomentDetected(
            tenant_id=self._started.tenant_id,
            channel_id=self._started.channel_id,
            session_id=self._started.session_id,
            kind=self.name,
            start_s=round(max(0.0, burst.start_s - settings.before_s), 2),
            peak_s=round(max(0.0, burst.peak_s), 2),
            end_s=round(burst.loud_until_s, 2),
            decided_s=round(decided_s, 2),
            score=round(settings.score_max * share, 3),
            evidence={
                "rise_db": round(burst.peak_rise_db, 1),
                "usual_db": round(burst.usual_db, 1),
                "deviations": round(burst.deviations, 1),
                "loud_s": round(loud_s, 1),
                "voice": round(burst.voice_sum / burst.loud_hops, 2),
            },
        )
