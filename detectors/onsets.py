"""Finds where the sound gets sharply louder: what viewers may answer to.

Law: loud means against this channel's own past; sound that comes back after a gap or a muted span
is no event, and what was not heard is told as such.
"""

from __future__ import annotations

import math
from collections import deque

from bus.events import LoudnessMeasured
from detectors.excitement import Baseline
from detectors.settings import ReactionSettings
from detectors.sound import FLOOR_DB

_SMOOTH_HOPS = 5
_MUTED_HOPS = 10
"""So many hops without any sound in a row are a muted span, not a pause."""


class Onsets:
    """Times at which loudness left its usual level, each once."""

    def __init__(self, settings: ReactionSettings) -> None:
        self._settings = settings
        self._baseline = Baseline(settings.baseline_s, settings.warmup_s, settings.spread_min_db)
        self._recent: deque[float] = deque(maxlen=_SMOOTH_HOPS)
        self._silent_hops = 0
        self._calm_since_s = math.inf
        self._last_s = -math.inf
        self.unheard_until_s = 0.0
        """End of the latest stretch of which nothing is known: warm-up, gap, muted span."""

    def feed(self, event: LoudnessMeasured) -> list[float]:
        """Take a segment; return the media times of its sharp onsets."""
        if event.gap or not event.rms_db:
            self._lose(event.end_s)
            return []
        found = []
        for at, rms_db in enumerate(event.rms_db):
            end_s = event.media_s + (at + 1) * event.hop_s
            if self._take(end_s, event.hop_s, rms_db):
                onset_s = end_s - _SMOOTH_HOPS * event.hop_s / 2
                if onset_s - self._last_s >= self._settings.onset_apart_s:
                    self._last_s = onset_s
                    found.append(onset_s)
        return found

    def _lose(self, until_s: float) -> None:
        self._recent.clear()
        self._calm_since_s = math.inf
        self.unheard_until_s = until_s

    def _take(self, end_s: float, hop_s: float, rms_db: float) -> bool:
        """Return whether loudness leaves its calm with this hop."""
        if rms_db <= FLOOR_DB:
            self._silent_hops += 1
            if self._silent_hops >= _MUTED_HOPS:
                self._lose(end_s)
            return False
        self._silent_hops = 0
        usual = self._baseline.usual
        self._baseline.add(rms_db)
        self._recent.append(10 ** (rms_db / 10))
        if usual is None:
            self._lose(end_s)
            return False
        if len(self._recent) < _SMOOTH_HOPS:
            return False
        settings = self._settings
        rise_db = 10 * math.log10(sum(self._recent) / _SMOOTH_HOPS) - usual.level_db
        sharp_db = max(settings.rise_min_db, settings.deviations_min * usual.spread_db)
        if rise_db < sharp_db / 2:
            self._calm_since_s = min(self._calm_since_s, end_s - hop_s)
            return False
        if rise_db < sharp_db:
            return False
        was_calm = end_s - self._calm_since_s >= settings.calm_s
        self._calm_since_s = math.inf
        return was_calm
