"""How strongly each second of a whole recorded chat says that something begins there.

Law: this looks at the whole session, future included, so it ranks a VOD's moments and measures
what chat can tell; it never detects anything live.

Chat answers late and for a while. So the strength of second `t` is the level of chat around
`t + delay_s` (a Gaussian of `width_s`) less a share of the level around `t − before_s` (a Gaussian
of `before_width_s`): a lasting hubbub counts less than a burst after calm. The level is the square
root of the rate, which makes the noise of busy and quiet stretches alike. The idea that a
highlight stands a learnt delay before its chat peak is LIGHTOR's (ICDE 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bus.events import ChatWindow

_ROUNDING = 1e-6
"""Below this a difference of levels is rounding."""
_KNOWN_SHARE_MIN = 0.05
"""A second that sees less of its neighbourhood than this is taken to be like the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatScoreSettings:
    """How a whole chat becomes a ranking. Defaults are learnt from labelled chat."""

    smooth_s: float = 3.0
    """Standard deviation of the first smoothing, before the square root."""
    delay_s: float = 20.0
    """From a moment's start to the middle of chat's answer."""
    width_s: float = 16.0
    """Standard deviation of the stretch that holds the answer."""
    before_s: float = 5.0
    """How far before the start the comparison stretch lies."""
    before_width_s: float = 10.0
    """Standard deviation of the comparison stretch."""
    before_weight: float = 0.6
    """Share of the comparison level that is taken off."""
    peak_after_s: float = 13.0
    """From a moment's start to what happened."""
    end_after_s: float = 25.0
    """From a moment's start to its end."""
    apart_s: float = 120.0
    """Least time between the starts of two moments."""
    moments_max: int = 10
    """At most this many moments, the strongest."""
    messages_min: int = 4
    """Least messages in the answer: a lone line in a silent chat is none."""
    even_strength: float = 1.6
    """Strength, in robust deviations of the session, whose score is one half:
    half of such moments begin where a highlight begins."""
    slope: float = 0.85
    """How fast the score rises with the strength."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredMoment:
    """A stretch of the session that chat speaks for."""

    start_s: float
    peak_s: float
    end_s: float
    score: float
    """0 to 1, rising with the strength; comparable within one session."""


@dataclass(frozen=True, slots=True)
class Chatter:
    """A session's chat on a grid of whole seconds."""

    first_s: int
    pulse: NDArray[np.float64]
    """Per second: messages, and once more each that shouts and each that echoes; so short cries
    that many utter count up to three times."""
    messages: NDArray[np.float64]
    """Per second: messages, capped per user."""
    known: NDArray[np.float64]
    """One where the reader was connected, zero elsewhere."""


def lay_out(windows: Sequence[ChatWindow]) -> Chatter:
    """Put windows (any order, at least one) on a grid; a second without a window is unknown."""
    seconds = [round(window.media_s) for window in windows]
    first_s, last_s = min(seconds), max(seconds)
    pulse = np.zeros(last_s - first_s + 1)
    messages, known = np.zeros_like(pulse), np.zeros_like(pulse)
    for second, window in zip(seconds, windows, strict=True):
        if not window.gap:
            pulse[second - first_s] = window.messages + window.shouts + window.echoes
            messages[second - first_s] = window.messages
            known[second - first_s] = 1.0
    return Chatter(first_s, pulse, messages, known)


def strength_of(chatter: Chatter, settings: ChatScoreSettings) -> NDArray[np.float64]:
    """Return the strength of each second as a start, in square roots of messages a second."""
    seen = _smoothed(chatter.known, settings.smooth_s)
    rate = _smoothed(chatter.pulse * chatter.known, settings.smooth_s)
    is_seen = seen > _KNOWN_SHARE_MIN
    level = np.sqrt(np.divide(rate, seen, out=np.zeros_like(rate), where=is_seen))
    level[~is_seen] = np.median(level[is_seen]) if is_seen.any() else 0.0
    after = _moved(_smoothed(level, settings.width_s), settings.delay_s)
    before = _moved(_smoothed(level, settings.before_width_s), -settings.before_s)
    strength: NDArray[np.float64] = after - settings.before_weight * before
    return strength


def score_whole(
    windows: Sequence[ChatWindow], settings: ChatScoreSettings | None = None
) -> list[ScoredMoment]:
    """Return a session's moments by its chat alone, the strongest first.

    Args:
        windows: the session's ChatWindow events; gaps are allowed.
        settings: lags, widths and limits.
    """
    settings = settings or ChatScoreSettings()
    if not windows:
        return []
    return moments_in(lay_out(windows), settings)


def moments_in(chatter: Chatter, settings: ChatScoreSettings) -> list[ScoredMoment]:
    """Return the moments of a chat that lies on its grid already; see `score_whole`."""
    strength = strength_of(chatter, settings)
    usual = float(np.median(strength))
    robust = 1.4826 * float(np.median(np.abs(strength - usual)))
    spread = max(robust, _spread_by_chance(settings))
    moments = []
    for second in _strongest_apart(strength, settings):
        deviations = (strength[second] - usual) / spread
        if deviations <= 0.0 or strength[second] <= _ROUNDING:
            continue
        if _answer(chatter.messages, second, settings) < settings.messages_min:
            continue
        start_s = float(chatter.first_s + second)
        moments.append(
            ScoredMoment(
                start_s=start_s,
                peak_s=start_s + settings.peak_after_s,
                end_s=start_s + settings.end_after_s,
                score=rising_score(deviations, settings.even_strength, settings.slope),
            )
        )
    return moments


def rising_score(strength: float, even: float, slope: float) -> float:
    """Return a score from 0 to 1 that is one half at `even` and rises with the strength."""
    return float(1.0 / (1.0 + np.exp(np.clip(-slope * (strength - even), -60.0, 60.0))))


def _answer(messages: NDArray[np.float64], second: int, settings: ChatScoreSettings) -> float:
    """Return how many messages lie within two widths around the middle of chat's answer."""
    middle, reach = second + settings.delay_s, 2 * settings.width_s
    return float(messages[max(0, round(middle - reach)) : round(middle + reach) + 1].sum())


def _spread_by_chance(settings: ChatScoreSettings) -> float:
    """Return how far strengths scatter when messages come by chance.

    A square root of a count scatters by one half; a Gaussian of deviation d takes the mean of
    2·√π·d seconds.
    """
    answer_s = 2.0 * math.sqrt(math.pi) * math.hypot(settings.width_s, settings.smooth_s)
    before_s = 2.0 * math.sqrt(math.pi) * math.hypot(settings.before_width_s, settings.smooth_s)
    return 0.5 * math.hypot(1.0 / math.sqrt(answer_s), settings.before_weight / math.sqrt(before_s))


def _strongest_apart(strength: NDArray[np.float64], settings: ChatScoreSettings) -> list[int]:
    left = strength.copy()
    apart = int(np.ceil(settings.apart_s))
    seconds: list[int] = []
    while len(seconds) < settings.moments_max:
        second = int(np.argmax(left))
        if left[second] == -np.inf:
            break
        seconds.append(second)
        left[max(0, second - apart + 1) : second + apart] = -np.inf
    return seconds


def _smoothed(series: NDArray[np.float64], deviation_s: float) -> NDArray[np.float64]:
    """Return the series under a Gaussian, its ends carried on."""
    reach = max(1, int(4 * deviation_s))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / deviation_s) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(series, reach, mode="edge")
    smoothed: NDArray[np.float64] = np.convolve(padded, kernel, "valid")
    return smoothed


def _moved(series: NDArray[np.float64], ahead_s: float) -> NDArray[np.float64]:
    """Return the series read `ahead_s` later, its ends carried on."""
    seconds = np.arange(len(series)) + round(ahead_s)
    moved: NDArray[np.float64] = series[np.clip(seconds, 0, len(series) - 1)]
    return moved
