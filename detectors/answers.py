"""Finds when chat answered: the middle of each burst, and viewers' clip commands.

Law: an answer's time is when viewers wrote, not when the burst was noticed; a burst that the
reader's gaps have cut, and one user's flood, are no answers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from bus.events import ChatWindow, SessionStarted
from detectors.chat_spike import ChatSpike
from detectors.settings import ChatSpikeSettings, ReactionSettings

_SECONDS_MAX = 120
"""Seconds of chat that are remembered: a burst at its longest and what was before it."""


class Answers:
    """Times at which chat answered something, on the scale of a burst's middle."""

    def __init__(
        self,
        started: SessionStarted,
        settings: ReactionSettings,
        spike: ChatSpikeSettings | None = None,
    ) -> None:
        self._settings = settings
        self._stretch_s = (spike or ChatSpikeSettings()).rate.stretch_s
        self._before_s = (spike or ChatSpikeSettings()).rate.before_s
        # What is measured here must not move with what has been learned from it.
        unlearned = replace(started, reaction_s=None)
        self._spike = ChatSpike(unlearned, replace(spike or ChatSpikeSettings(), reaction_s=0.0))
        self._seconds: deque[tuple[float, float]] = deque(maxlen=_SECONDS_MAX)
        self._asked_s = -settings.answer_apart_s
        self._seen_until_s = 0.0

    def feed(self, window: ChatWindow) -> list[float]:
        """Take the next second; return the answers that are known by now."""
        if window.media_s < self._seen_until_s - 0.001:
            return []
        is_cut = window.gap or window.media_s > self._seen_until_s + 0.001
        self._seen_until_s = window.media_s + window.duration_s
        bursts = self._spike.feed(window)
        if is_cut:
            self._seconds.clear()
            bursts = []
        if not window.gap:
            self._seconds.append((window.media_s, float(window.messages)))
        middles = [self._middle(burst.peak_s) for burst in bursts]
        return [middle for middle in middles if middle is not None] + self._commands(window)

    def _middle(self, peak_end_s: float) -> float | None:
        """Return when half of what a burst has more than its past had been written."""
        begin_s = peak_end_s - self._stretch_s
        before = [n for at, n in self._seconds if begin_s - self._before_s <= at < begin_s]
        if not before:
            return None
        usual = sum(before) / len(before)
        burst = [(at, n - usual) for at, n in self._seconds if begin_s <= at < peak_end_s]
        half = sum(more for _, more in burst) / 2
        if half <= 0:
            return None
        reached = 0.0
        for at, more in burst:
            if more > 0 and reached + more >= half:
                return at + (half - reached) / more
            reached += more
        return None

    def _commands(self, window: ChatWindow) -> list[float]:
        found = []
        for at_s in sorted(command.at_s for command in window.commands):
            # The first who asks stands for those who join in.
            if at_s - self._asked_s >= self._settings.answer_apart_s:
                found.append(at_s - self._settings.command_after_s)
            self._asked_s = at_s
        return found
