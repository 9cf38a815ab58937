"""Finds bursts of chat.

Law: a moment is decided by what was seen until then and never changed after; what made viewers
write lies before the burst, by the lag that the settings name and the channel has taught.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from bus.events import (
    ChatWindow,
    Event,
    Evidence,
    MomentDetected,
    ReactionLearned,
    SessionStarted,
)
from detectors.chat_rate import ChatRate, ChatRates
from detectors.settings import ChatSpikeSettings

_SLACK_S = 0.001
"""Windows that join on to each other may differ by this much."""
_SAMPLES_MAX = 200
"""Lines of one burst that are looked at for the one that stands for it."""


@dataclass(slots=True)
class _Burst:
    """A burst that has begun and is not decided yet."""

    begin_s: float
    peak: ChatRate
    chatters: int = 0
    samples: list[str] = field(default_factory=list)

    def take(self, window: ChatWindow) -> None:
        self.chatters = max(self.chatters, window.chatters)
        self.samples += window.samples[: _SAMPLES_MAX - len(self.samples)]


class ChatSpike:
    """Moments from chat velocity: a surge that rises, peaks and falls off.

    A burst begins when the surge passes `surge_min`. It is decided when the surge has fallen to a
    share of its peak, when no higher peak has come for `hold_s`, or at `burst_max_s`. After that
    the surge has to come down, or to rise anew from where it fell to, before another begins.
    """

    def __init__(self, started: SessionStarted, settings: ChatSpikeSettings | None = None) -> None:
        self._started = started
        self._settings = settings or ChatSpikeSettings()
        self._rates = ChatRates(self._settings.rate)
        self._burst: _Burst | None = None
        self._trough: float = 0.0
        """Lowest surge since the last burst; a new one has to rise from it."""
        self._seen_until_s: float | None = None
        self._quiet_until_s = 0.0
        self._lag_s = self._settings.reaction_s

    @property
    def name(self) -> str:
        """The `kind` of its moments."""
        return "chat_spike"

    @property
    def wants(self) -> tuple[type[Event], ...]:
        """The event types that `feed` is called with."""
        return (ChatWindow, ReactionLearned)

    def feed(self, event: Event) -> list[MomentDetected]:
        """Take the next second of chat; return the burst that is decided by it, if any."""
        if isinstance(event, ReactionLearned):
            self._lag_s = max(0.0, self._settings.reaction_s + event.delay_s - event.usual_s)
        if not isinstance(event, ChatWindow):
            return []
        seen_until_s = self._seen_until_s
        if seen_until_s is not None and event.media_s < seen_until_s - _SLACK_S:
            return []
        moments = []
        is_cut = event.gap or (seen_until_s is not None and event.media_s > seen_until_s + _SLACK_S)
        if is_cut:
            moments = self._decide(event.media_s + event.duration_s)
            self._trough = 0.0
            self._rates.cut()
        self._seen_until_s = event.media_s + event.duration_s
        return moments + self._follow(event, self._rates.feed(event))

    def flush(self) -> list[MomentDetected]:
        """Return the burst that is still going on."""
        return self._decide(self._seen_until_s or 0.0)

    def _follow(self, window: ChatWindow, now: ChatRate) -> list[MomentDetected]:
        if self._burst is None:
            self._trough = min(self._trough, now.surge) if now.settled else self._trough
            if self._begins(now):
                self._burst = _Burst(begin_s=now.end_s, peak=now)
                self._burst.take(window)
            return []
        burst, settings = self._burst, self._settings
        burst.take(window)
        if now.surge > burst.peak.surge:
            burst.peak = now
        is_over = (
            now.surge <= settings.fall * burst.peak.surge
            or now.end_s - burst.peak.end_s >= settings.hold_s
            or now.end_s - burst.begin_s >= settings.burst_max_s
        )
        if not is_over:
            return []
        self._trough = now.surge
        self._quiet_until_s = burst.peak.end_s + settings.refractory_s
        return self._decide(now.end_s)

    def _begins(self, now: ChatRate) -> bool:
        return (
            now.settled
            and now.surge >= self._settings.surge_min
            and now.surge - max(0.0, self._trough) >= self._settings.surge_min
            and now.messages >= self._settings.messages_min
            and now.end_s >= self._quiet_until_s
        )

    def _decide(self, decided_s: float) -> list[MomentDetected]:
        burst, self._burst = self._burst, None
        if burst is None:
            return []
        settings, top = self._settings, burst.peak
        peak_s = max(0.0, top.end_s - self._lag_s)
        return [
            MomentDetected(
                tenant_id=self._started.tenant_id,
                channel_id=self._started.channel_id,
                session_id=self._started.session_id,
                kind=self.name,
                start_s=max(0.0, peak_s - settings.before_s),
                peak_s=peak_s,
                end_s=max(decided_s - self._lag_s, peak_s + settings.after_min_s),
                decided_s=decided_s,
                score=_score(top.surge, settings),
                evidence=_evidence(burst),
            )
        ]


def _score(surge: float, settings: ChatSpikeSettings) -> float:
    return 1.0 / (1.0 + math.exp(-settings.slope * (surge - settings.surge_even)))


def _evidence(burst: _Burst) -> Evidence:
    top = burst.peak
    evidence: dict[str, str | int | float] = {
        "rate": round(top.rate, 2),
        "baseline": round(top.usual, 3),
        "times": f"×{top.rate / max(top.usual, 0.01):.0f}",
        "chatters": burst.chatters,
        "surge": round(top.surge, 2),
    }
    if burst.samples:
        evidence["sample"] = _said_most(burst.samples)
    return evidence


def _said_most(lines: list[str]) -> str:
    """Return the line that most viewers wrote; of equals, the first."""
    counts = Counter(line.casefold().strip() for line in lines)
    most = max(counts.values())
    return next(line for line in lines if counts[line.casefold().strip()] == most)
