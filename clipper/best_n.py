"""The ranking of a whole recording: its best N events, spread out.

Law: nothing is decided before the end, so the answer follows from the set of moments, the whole
chat and the whole sound alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from bus.events import ChatWindow, MomentDetected, SessionStarted, stable_id
from clipper.lively import LivelyStretch, liveliest
from clipper.merge import clock, group_all, to_pick
from clipper.port import Decision, Pass, Pick
from clipper.settings import BestNSettings, MergeSettings
from clipper.sound import Sound

_LIVELY_HALF_S = 5.0
"""A lively stretch is told as this long before and after its peak."""
_BELOW_TAKEN = 0.9
"""A lively stretch scores at most this share of the weakest clip that a moment made."""


class ChatPeak(Protocol):
    """A stretch that the whole chat speaks for. Times are media seconds, the score 0 to 1."""

    @property
    def start_s(self) -> float: ...
    @property
    def peak_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def score(self) -> float: ...


ScoreChat = Callable[[Sequence[ChatWindow]], Sequence[ChatPeak]]


class BestNRanker:
    """Picks the N best events at least `spread_s` apart.

    Where chat covers the session, the whole video's chat curve knows better than a detector that
    saw the past alone: each of its peaks becomes a `chat_spike` candidate, and a detector's own
    `chat_spike` counts by the curve's score. When all that gives too few clips, the liveliest other
    stretches by sound fill up, kind `lively`.
    """

    name = "best_n"

    def __init__(
        self,
        started: SessionStarted,
        settings: BestNSettings,
        merge: MergeSettings,
        score_chat: ScoreChat | None = None,
    ) -> None:
        self._started = started
        self._settings = settings
        self._merge = merge
        self._score_chat = score_chat
        self._moments: dict[str, MomentDetected] = {}
        self._curve: list[MomentDetected] = []
        self._sound: Sound | None = None

    def offer(self, moment: MomentDetected) -> list[Decision]:
        """Take a moment in."""
        self._moments[moment.event_id] = moment
        return []

    def hear(self, windows: Sequence[ChatWindow]) -> None:
        """Score the whole session's chat."""
        if self._score_chat is None or self._settings.chat_weight <= 0:
            return
        self._curve = [self._candidate(peak) for peak in self._score_chat(windows)]

    def listen(self, sound: Sound) -> None:
        """Remember the session's sound, to fill up from it."""
        self._sound = sound

    def settle(self, media_s: float) -> list[Decision]:
        """Decide nothing: the best is known at the end."""
        return []

    def close(self) -> list[Decision]:
        """Choose."""
        groups = group_all([*self._weighed(), *self._curve], self._merge)
        picks = sorted(
            (to_pick(group, self._merge) for group in groups),
            key=lambda pick: (-pick.score, pick.peak_s),
        )
        wanted = self._started.clips_max or self._settings.clips
        taken: list[Pick] = []
        decisions: list[Decision] = []
        for pick in picks:
            reason = self._objection(pick, taken, wanted)
            if reason:
                offered = [each for each in pick.moments if each.event_id in self._moments]
                decisions += [Pass(each.event_id, reason) for each in offered]
            else:
                taken.append(pick)
        taken += self._filling(taken, wanted)
        return [*decisions, *sorted(taken, key=lambda pick: pick.peak_s)]

    def _objection(self, pick: Pick, taken: Sequence[Pick], wanted: int) -> str:
        if pick.score < self._settings.score_min:
            return f"score: {pick.score:.2f} is below {self._settings.score_min:.2f}"
        for better in taken:
            apart_s = abs(pick.peak_s - better.peak_s)
            if apart_s < self._settings.spread_s:
                return f"spread: {apart_s:.0f} s from the better clip at {clock(better.peak_s)}"
        if len(taken) >= wanted:
            return f"rank: not among the best {wanted} (score {pick.score:.2f})"
        return ""

    def _filling(self, taken: Sequence[Pick], wanted: int) -> list[Pick]:
        """Return lively stretches beside what is taken, up to what is wanted and allowed."""
        how = self._settings
        if self._sound is None or not how.fill:
            return []
        hours = len(self._sound.rms_db) * self._sound.hop_s / 3600
        allowed = min(wanted, max(1, math.ceil(how.fill_per_hour * hours)))
        score_max = min([how.fill_score_max, *(_BELOW_TAKEN * each.score for each in taken)])
        stretches = liveliest(
            self._sound, allowed - len(taken), how.spread_s, [each.peak_s for each in taken]
        )
        picks = [to_pick([self._lively(each, score_max)], self._merge) for each in stretches]
        return [pick for pick in picks if pick.score >= how.score_min]

    def _weighed(self) -> list[MomentDetected]:
        """Let the curve, where there is one, speak for the detector of chat spikes."""
        if not self._curve:
            return list(self._moments.values())
        keep = 1.0 - self._settings.chat_weight
        return [
            replace(each, score=each.score * keep) if each.kind == "chat_spike" else each
            for each in self._moments.values()
        ]

    def _lively(self, stretch: LivelyStretch, score_max: float) -> MomentDetected:
        started = self._started
        end_s = stretch.peak_s + _LIVELY_HALF_S
        return MomentDetected(
            tenant_id=started.tenant_id,
            channel_id=started.channel_id,
            session_id=started.session_id,
            event_id=stable_id("lively", started.session_id, round(stretch.peak_s, 3)),
            kind="lively",
            start_s=max(0.0, stretch.peak_s - _LIVELY_HALF_S),
            peak_s=stretch.peak_s,
            end_s=end_s,
            decided_s=end_s,
            score=stretch.score * score_max,
            evidence={"rise_db": stretch.rise_db, "voice": stretch.voice},
        )

    def _candidate(self, peak: ChatPeak) -> MomentDetected:
        started = self._started
        return MomentDetected(
            tenant_id=started.tenant_id,
            channel_id=started.channel_id,
            session_id=started.session_id,
            event_id=stable_id("chat_curve", started.session_id, round(peak.peak_s, 3)),
            kind="chat_spike",
            start_s=peak.start_s,
            peak_s=peak.peak_s,
            end_s=peak.end_s,
            decided_s=peak.end_s,
            score=min(1.0, peak.score) * self._settings.chat_weight,
            evidence={"chat_curve": round(peak.score, 3)},
        )
