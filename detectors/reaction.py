"""Learns how long after something happened a channel's chat answers.

Law: pure, on media time alone, so live and replay learn the same; an estimate never leaves its
bounds, and without evidence that is better than chance nothing is learned.

Each answer of chat is paired with the sharp onsets of sound that may have caused it; the pairs'
delays are gathered in a histogram that forgets. What is no cause falls anywhere in it, what is
one falls in the same place. The estimate is the place where the histogram and a prior, counted as
a few answers, are highest, once that place stands out of what chance would give.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from bus.events import ChatWindow, Event, LoudnessMeasured, ReactionLearned, SessionStarted
from detectors.answers import Answers
from detectors.onsets import Onsets
from detectors.settings import ReactionSettings

_BIN_S = 0.5
_ONSETS_MAX = 64
"""Onsets that are remembered; they lie seconds apart, so these reach over any burst of chat."""


@dataclass(frozen=True, slots=True)
class _Peak:
    delay_s: float
    spread_s: float
    answers: float
    """Answers around the peak, faded by their age."""
    stands_out: float
    """Deviations above what chance would have put there."""


class DelayHistogram:
    """Delays that have been seen, fading with media time."""

    def __init__(self, settings: ReactionSettings, prior_s: float) -> None:
        self._settings = settings
        self._centres = [
            settings.delay_min_s + _BIN_S / 2 + at * _BIN_S
            for at in range(round((settings.delay_max_s - settings.delay_min_s) / _BIN_S))
        ]
        self._bins = [0.0] * len(self._centres)
        shape = [
            math.exp(-0.5 * ((centre - prior_s) / settings.prior_spread_s) ** 2)
            for centre in self._centres
        ]
        self._prior = [each / sum(shape) * settings.prior_answers for each in shape]
        self._faded_s = 0.0

    def fade(self, media_s: float) -> None:
        """Let what is known grow older."""
        keep = 0.5 ** (max(0.0, media_s - self._faded_s) / self._settings.half_life_s)
        self._bins = [each * keep for each in self._bins]
        self._faded_s = max(self._faded_s, media_s)

    def add(self, delays_s: list[float]) -> None:
        """Take one answer with all its possible delays; each counts by its share."""
        settings = self._settings
        for delay_s in delays_s:
            at = int((delay_s - settings.delay_min_s) / _BIN_S)
            self._bins[min(max(at, 0), len(self._bins) - 1)] += 1.0 / len(delays_s)

    def peak(self) -> _Peak | None:
        """Return the delay with the most behind it; None while nothing is known."""
        settings, total = self._settings, sum(self._bins)
        if total < settings.answers_min:
            return None
        reach = 2 * settings.smooth_s
        counts = [seen + prior for seen, prior in zip(self._bins, self._prior, strict=True)]
        worth = [self._around(centre, counts) for centre in self._centres]
        best = self._centres[max(range(len(worth)), key=worth.__getitem__)]
        near = [
            (centre, count)
            for centre, count in zip(self._centres, self._bins, strict=True)
            if abs(centre - best) <= reach
        ]
        answers = sum(count for _, count in near)
        if answers <= 0:
            return None
        mean_s = sum(centre * count for centre, count in near) / answers
        variance = sum(count * (centre - mean_s) ** 2 for centre, count in near) / answers
        by_chance = (total - answers) * len(near) / max(1, len(self._bins) - len(near))
        stands_out = (answers - by_chance) / math.sqrt(by_chance + 1.0)
        return _Peak(mean_s, math.sqrt(variance), answers, stands_out)

    def _around(self, middle_s: float, counts: list[float]) -> float:
        deviation_s = self._settings.smooth_s
        return sum(
            count * math.exp(-0.5 * ((centre - middle_s) / deviation_s) ** 2)
            for centre, count in zip(self._centres, counts, strict=True)
        )


class Reaction:
    """One session's estimate of how long chat takes to answer."""

    def __init__(
        self,
        started: SessionStarted,
        settings: ReactionSettings | None = None,
        answers: Answers | None = None,
    ) -> None:
        self._started = started
        self._settings = settings or ReactionSettings()
        known_s = started.reaction_s
        self._delay_s = self._bounded(self._settings.usual_s if known_s is None else known_s)
        self._histogram = DelayHistogram(self._settings, self._delay_s)
        self._sound = Onsets(self._settings)
        self._answers = answers or Answers(started, self._settings)
        self._onsets: deque[float] = deque(maxlen=_ONSETS_MAX)
        self._samples = 0
        self._told: tuple[float, int] = (self._settings.usual_s, 0)

    @property
    def delay_s(self) -> float:
        """The estimate now: what is assumed until something has been learned."""
        return self._delay_s

    @property
    def samples(self) -> int:
        """Answers of this session that had a sharp sound to be paired with."""
        return self._samples

    def opening(self) -> ReactionLearned | None:
        """Return what earlier sessions of the channel have taught, at media zero."""
        known = self._started.reaction_s is not None
        return self._tell(0.0, self._settings.prior_spread_s) if known else None

    def feed(self, event: Event) -> ReactionLearned | None:
        """Take the next event in media order; return the estimate when it has moved."""
        if isinstance(event, LoudnessMeasured):
            self._onsets.extend(self._sound.feed(event))
            return None
        if not isinstance(event, ChatWindow):
            return None
        moved = None
        for answer_s in self._answers.feed(event):
            moved = self._learn(answer_s, event.media_s + event.duration_s) or moved
        return moved

    def _learn(self, answer_s: float, now_s: float) -> ReactionLearned | None:
        settings = self._settings
        if answer_s - settings.delay_max_s < self._sound.unheard_until_s:
            # What it answered may lie in what nobody has heard.
            return None
        low_s, high_s = answer_s - settings.delay_max_s, answer_s - settings.delay_min_s
        delays_s = [answer_s - onset_s for onset_s in self._onsets if low_s <= onset_s <= high_s]
        if not delays_s:
            return None
        self._histogram.fade(now_s)
        self._histogram.add(delays_s)
        self._samples += 1
        peak = self._histogram.peak()
        if peak is None or peak.stands_out < settings.stands_out_min:
            return None
        if peak.answers < settings.answers_min:
            return None
        self._delay_s = self._bounded(peak.delay_s)
        told_s, told_samples = self._told
        has_moved = abs(self._delay_s - told_s) >= settings.step_s
        is_surer = self._samples >= 2 * told_samples
        return self._tell(now_s, peak.spread_s) if has_moved or is_surer else None

    def _tell(self, media_s: float, spread_s: float) -> ReactionLearned:
        self._delay_s = round(self._delay_s, 2)
        self._told = (self._delay_s, self._samples)
        return ReactionLearned(
            tenant_id=self._started.tenant_id,
            channel_id=self._started.channel_id,
            session_id=self._started.session_id,
            media_s=media_s,
            delay_s=self._delay_s,
            usual_s=self._settings.usual_s,
            spread_s=round(spread_s, 2),
            samples=self._samples,
        )

    def _bounded(self, delay_s: float) -> float:
        return min(max(delay_s, self._settings.delay_min_s), self._settings.delay_max_s)
