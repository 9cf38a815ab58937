"""How loud chat is now, against what this channel's chat is usually like.

Law: only the past counts. A second in which the reader was cut off is neither a lull nor a burst:
nothing is learnt from it, and what comes after it is compared only once a whole stretch is known.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from bus.events import ChatWindow
from detectors.settings import ChatRateSettings

_KNOWN_BEFORE_S = 30.0
"""Seconds after which the usual rate is known well enough to hold outliers down."""
_ANSCOMBE = 0.375
"""Added to a count before its square root: steadies the deviation of small counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRate:
    """Chat at the end of one second."""

    end_s: float
    surge: float
    """Rise above the usual, in deviations; zero while too little is known."""
    rate: float
    """Messages a second over the last stretch, capped per user."""
    usual: float
    """Messages a second that this channel usually has."""
    messages: int
    """Messages in the last stretch, capped per user."""
    settled: bool
    """The surge means something: warmed up, and no gap in the last stretch."""


class _SlowMean:
    """A mean that forgets; its first samples weigh as in a plain mean."""

    def __init__(self, memory_s: float) -> None:
        self._keep = 1.0 - 1.0 / memory_s
        self._sum = 0.0
        self.weight = 0.0

    @property
    def value(self) -> float:
        return self._sum / self.weight if self.weight else 0.0

    def add(self, sample: float) -> None:
        self._sum = self._sum * self._keep + sample
        self.weight = self.weight * self._keep + 1.0


class ChatRates:
    """Turns chat windows, in order, into rates.

    The surge is the difference of square roots of rates, in units of its noise: for messages that
    come by chance it has a deviation of one whatever the channel's size, so two lines a minute and
    twenty a second need no settings of their own. Chat that is choppier than chance by nature
    raises the unit.
    """

    def __init__(self, settings: ChatRateSettings) -> None:
        self._settings = settings
        reach = settings.stretch_s + settings.apart_s + settings.before_s
        self._pulses: deque[float] = deque(maxlen=reach)
        self._messages: deque[int] = deque(maxlen=settings.stretch_s)
        self._usual_pulses = _SlowMean(settings.memory_s)
        self._usual_messages = _SlowMean(settings.memory_s)
        self._noise = _SlowMean(settings.memory_s)
        self._known_s = 0.0

    def feed(self, window: ChatWindow) -> ChatRate:
        """Take the next second and return how chat stands at its end."""
        if window.gap:
            self.cut()
            return self._told(window, surge=0.0, settled=False)
        self._pulses.append(float(window.messages + window.shouts + window.echoes))
        self._messages.append(window.messages)
        self._known_s += window.duration_s
        stretch_known = len(self._messages) == self._settings.stretch_s
        settled = stretch_known and self._known_s >= self._settings.warmup_s
        surge = self._surge() if stretch_known else 0.0
        rate = self._told(window, surge=surge if settled else 0.0, settled=settled)
        self._learn(window, surge if stretch_known else None)
        return rate

    def cut(self) -> None:
        """Forget the last stretch: what follows does not join on to it."""
        self._pulses.clear()
        self._messages.clear()

    def _surge(self) -> float:
        settings = self._settings
        series = list(self._pulses)
        now = sum(series[-settings.stretch_s :]) / settings.stretch_s
        usual = self._usual_pulses.value
        before_all = series[: -settings.stretch_s - settings.apart_s]
        before = sum(before_all) / len(before_all) if before_all else usual
        share = settings.before_weight
        reference = share * self._level(before) + (1.0 - share) * self._level(usual)
        return (self._level(now) - reference) / max(1.0, self._noise.value)

    def _level(self, rate: float) -> float:
        """Return a rate on the scale on which counts that come by chance deviate by one."""
        return 2.0 * math.sqrt(rate * self._settings.stretch_s + _ANSCOMBE)

    def _told(self, window: ChatWindow, *, surge: float, settled: bool) -> ChatRate:
        return ChatRate(
            end_s=window.media_s + window.duration_s,
            surge=surge,
            rate=sum(self._messages) / max(1, len(self._messages)),
            usual=self._usual_messages.value,
            messages=sum(self._messages),
            settled=settled,
        )

    def _learn(self, window: ChatWindow, surge: float | None) -> None:
        """Let the second into what is usual; a burst is let in only as far as a busy second."""
        pulse, messages = self._pulses[-1], float(window.messages)
        if self._usual_pulses.weight > _KNOWN_BEFORE_S:
            bound = self._settings.burst_bound
            pulse = min(pulse, bound * self._usual_pulses.value + 1.0)
            messages = min(messages, bound * self._usual_messages.value + 1.0)
        self._usual_pulses.add(pulse)
        self._usual_messages.add(messages)
        if surge is not None:
            # Mean absolute deviation of a normal spread is 0.8 of its standard deviation.
            unit = max(1.0, self._noise.value)
            self._noise.add(1.25 * min(abs(surge), self._settings.noise_bound) * unit)
