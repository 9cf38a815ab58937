"""The ways of naming moments that are compared: two of ours, two to be beaten.

Law: a method sees chat alone, never the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bus.events import ChatWindow, MomentDetected, SessionEnded, SessionStarted
from detectors.chat_spike import ChatSpike
from detectors.host import DetectorHost
from detectors.settings import ChatSpikeSettings
from ops.scoring.metric import APART_S, MOMENTS_MAX, Pick
from store.chat_score import ChatScoreSettings, Chatter, lay_out, moments_in

LAGGED_STRETCH_S = 5
LAGGED_S = 25.0


@dataclass(frozen=True, slots=True)
class Session:
    """Names a recording as a session, so that detectors can be fed with it."""

    name: str

    def started(self) -> SessionStarted:
        """Return the event that opens it."""
        return SessionStarted(
            tenant_id="score",
            channel_id=self.name,
            session_id=self.name,
            kind="file",
            title=self.name,
            source=self.name,
            has_chat=True,
        )

    def ended(self, chat_until_s: float) -> SessionEnded:
        """Return the event that closes it: chat alone, no media."""
        return SessionEnded(
            tenant_id="score",
            channel_id=self.name,
            session_id=self.name,
            media_s=0.0,
            chat_until_s=chat_until_s,
            stored_s=0.0,
            missing_s=0.0,
            reason="ended",
        )


def offline_picks(chatter: Chatter, settings: ChatScoreSettings) -> list[Pick]:
    """Return the moments of the ranking that sees the whole chat."""
    return [Pick(moment.start_s, moment.score) for moment in moments_in(chatter, settings)]


def spikes(windows: Sequence[ChatWindow], settings: ChatSpikeSettings) -> list[MomentDetected]:
    """Return what the product's chat detector gives out while the chat is played to it."""
    session = Session(windows[0].session_id)
    host = DetectorHost(session.started(), [ChatSpike(session.started(), settings)])
    last = windows[-1]
    outcomes = []
    for event in (*windows, session.ended(last.media_s + last.duration_s)):
        outcomes += host.feed(event)
    return [outcome for outcome in outcomes if isinstance(outcome, MomentDetected)]


def causal_picks(windows: Sequence[ChatWindow], settings: ChatSpikeSettings) -> list[Pick]:
    """Return the detector's moments under a cooldown, first come first taken.

    Place, score and acceptance of each are fixed when it is decided; only the metric's own cut,
    the strongest ten, looks back.
    """
    taken: list[Pick] = []
    for moment in spikes(windows, settings):
        if taken and moment.start_s - taken[-1].start_s < APART_S:
            continue
        chat_peak_s = moment.peak_s + settings.reaction_s
        taken.append(Pick(moment.start_s, moment.score, moment.decided_s, chat_peak_s))
    return sorted(taken, key=lambda pick: -pick.score)[:MOMENTS_MAX]


def lagged_peak_picks(windows: Sequence[ChatWindow]) -> list[Pick]:
    """Return the naive rule: the highest counts of lines in 5 s, less 25 s.

    The peak's place is the beginning of its five seconds: of beginning, middle and end the one
    that does best on the labelled videos.
    """
    chatter = lay_out(windows)
    lines = np.zeros(len(chatter.pulse) + LAGGED_STRETCH_S - 1)
    for window in windows:
        lines[round(window.media_s) - chatter.first_s] = window.lines
    counts = np.convolve(lines, np.ones(LAGGED_STRETCH_S), "valid")
    left: NDArray[np.float64] = counts.astype(float)
    apart = int(APART_S)
    picks: list[Pick] = []
    while len(picks) < MOMENTS_MAX and left.max() > 0:
        second = int(np.argmax(left))
        picks.append(Pick(chatter.first_s + second - LAGGED_S, float(left[second])))
        left[max(0, second - apart + 1) : second + apart] = -np.inf
    return picks


def random_picks(length_s: float, rng: np.random.Generator) -> list[Pick]:
    """Return ten seconds by chance, 120 s apart as long as there is room."""
    free = np.ones(max(1, int(length_s)), dtype=bool)
    apart = int(APART_S)
    picks: list[Pick] = []
    while len(picks) < MOMENTS_MAX and free.any():
        second = int(rng.choice(np.flatnonzero(free)))
        picks.append(Pick(float(second), 1.0 - len(picks) / MOMENTS_MAX))
        free[max(0, second - apart + 1) : second + apart] = False
    return picks
