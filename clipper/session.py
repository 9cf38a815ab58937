"""One session's way from moments to planned clips.

Law: pure. Decisions are made step by step along the media clock, up to what is settled and known
on every topic, so neither the order of arrival across topics nor the size of a settled stretch
changes a plan; a recorded session fed again gives the same ids.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from bus.events import (
    ChatWindow,
    ClipPlanned,
    Event,
    LoudnessMeasured,
    MomentDetected,
    MomentJoined,
    MomentPassed,
    MomentsSettled,
    SegmentMissing,
    SegmentStored,
    SessionClipped,
    SessionEnded,
    SessionStarted,
    SpeechHeard,
    Word,
    stable_id,
)
from clipper.pieces import Piece, to_piece
from clipper.port import Decision, Join, Pass, Pick, Ranker
from clipper.settings import ClipperSettings
from clipper.sound import Sound
from clipper.timeline import Timeline
from clipper.title import make_title
from clipper.window import STEP_S, Window, choose, find_end

Outcome = MomentPassed | MomentJoined | ClipPlanned | SessionClipped

_SLACK_S = 0.01
_MEDIA_LEAD_S = 20.0
"""Media before a clip that its cut may need for the key frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOrder:
    """A planned clip with all that its cut needs."""

    plan: ClipPlanned
    pieces: tuple[Piece, ...]
    words: tuple[Word, ...]
    """On the media clock."""
    live: bool
    """Somebody is waiting for it; cuts of replays go after it."""


class SessionClipper:
    """The ranker and the windows of one session behind one `feed`."""

    def __init__(self, started: SessionStarted, ranker: Ranker, settings: ClipperSettings) -> None:
        self._started = started
        self._ranker = ranker
        self._settings = settings
        self._timeline = Timeline()
        self._moments: dict[str, MomentDetected] = {}
        self._waiting: list[MomentDetected] = []
        self._picked: list[Pick] = []
        self._chat: list[ChatWindow] = []
        self._ready: list[CutOrder] = []
        self._now_s = 0.0
        self._settled_s = 0.0
        self._final = False
        self._ended: SessionEnded | None = None
        self._clips = 0
        self.done = False
        """SessionClipped has been given out."""

    def feed(self, event: Event) -> list[Outcome]:
        """Take the session's next event of any topic; return what is decided now, in order.

        Each ClipPlanned given out can be cut at once: see `take_orders`.
        """
        if self.done:
            return []
        match event:
            case MomentDetected():
                if event.event_id not in self._moments:
                    self._moments[event.event_id] = event
                    self._waiting.append(event)
            case MomentsSettled():
                self._settled_s = max(self._settled_s, event.media_s)
                self._final = self._final or event.final
            case SegmentStored() | SegmentMissing():
                self._timeline.add_piece(to_piece(event))
            case LoudnessMeasured():
                self._timeline.add_loudness(event)
            case SpeechHeard():
                self._timeline.add_speech(event)
            case ChatWindow():
                self._take_chat(event)
            case SessionEnded():
                self._ended = event
            case _:
                return []
        return self._advance()

    def take_orders(self) -> list[CutOrder]:
        """Return the planned clips that have not been taken yet; all their media is stored."""
        orders, self._ready = self._ready, []
        return orders

    def _take_chat(self, window: ChatWindow) -> None:
        if window.media_s < self._timeline.chat_until_s - _SLACK_S:
            return
        self._timeline.add_chat(window)
        if self._hear is not None:
            self._chat.append(replace(window, samples=(), commands=()))

    @property
    def _hear(self) -> Callable[[list[ChatWindow]], None] | None:
        return getattr(self._ranker, "hear", None)

    @property
    def _listen(self) -> Callable[[Sound], None] | None:
        return getattr(self._ranker, "listen", None)

    def _known_s(self) -> float:
        known_s = min(
            self._settled_s, self._timeline.segments_until_s, self._timeline.features_until_s
        )
        if self._started.has_chat and not self._chat_complete():
            known_s = min(known_s, self._timeline.chat_until_s)
        return known_s

    def _chat_complete(self) -> bool:
        return (
            self._ended is not None
            and self._timeline.chat_until_s >= self._ended.chat_until_s - _SLACK_S
        )

    def _all_known(self) -> bool:
        if self._ended is None or not self._final:
            return False
        media_s = self._ended.media_s - _SLACK_S
        timeline = self._timeline
        has_all = min(timeline.segments_until_s, timeline.features_until_s) >= media_s
        return has_all and (not self._started.has_chat or self._chat_complete())

    def _advance(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        known_s = self._known_s()
        while self._now_s + STEP_S <= known_s + _SLACK_S:
            step_s = self._next_step(known_s)
            if step_s > known_s + _SLACK_S:
                break
            self._now_s = step_s
            outcomes += self._step()
        if self._started.clips_max is None and self._started.kind == "live":
            self._timeline.trim(self._now_s - self._settings.keep_s)
        if self._all_known():
            outcomes += self._finish()
        return outcomes

    def _next_step(self, known_s: float) -> float:
        """Return the next step; stretches in which nothing can be decided are leapt over."""
        return self._now_s + STEP_S if self._busy() else _on_grid(known_s)

    def _busy(self) -> bool:
        return bool(self._moments)

    def _step(self) -> list[Outcome]:
        known = [each for each in self._waiting if each.decided_s <= self._now_s + _SLACK_S]
        decisions: list[Decision] = []
        if known:
            self._waiting = [each for each in self._waiting if each not in known]
            decisions += self._offer(known)
        decisions += self._ranker.settle(self._now_s)
        return [*self._take(decisions), *self._plan_ripe()]

    def _offer(self, moments: list[MomentDetected]) -> list[Decision]:
        return [decision for moment in moments for decision in self._ranker.offer(moment)]

    def _take(self, decisions: list[Decision]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for decision in decisions:
            match decision:
                case Pass():
                    outcomes.append(self._passed(decision))
                case Join():
                    outcomes.append(self._joined(decision))
                case Pick():
                    self._picked.append(decision)
        return outcomes

    def _plan_ripe(self) -> list[Outcome]:
        plans: list[Outcome] = []
        for pick in list(self._picked):
            end_s = find_end(pick, self._timeline, self._now_s, self._settings.window)
            if end_s is not None:
                self._picked.remove(pick)
                plans.append(self._plan(pick, end_s, self._now_s))
        return plans

    def _finish(self) -> list[Outcome]:
        end_s = self._ended.media_s if self._ended is not None else self._now_s
        self._now_s = max(self._now_s, end_s)
        waiting, self._waiting = self._waiting, []
        decisions = self._offer(waiting)
        if self._hear is not None and self._started.has_chat:
            self._hear(self._chat)
        if self._listen is not None:
            self._listen(self._timeline.sound(end_s))
        decisions += self._ranker.close()
        outcomes = self._take(decisions)
        for pick in self._picked:
            found_s = find_end(pick, self._timeline, end_s, self._settings.window)
            outcomes.append(self._plan(pick, end_s if found_s is None else found_s, end_s))
        self._picked, self.done = [], True
        started = self._started
        outcomes.append(
            SessionClipped(
                tenant_id=started.tenant_id,
                channel_id=started.channel_id,
                session_id=started.session_id,
                clips=self._clips,
            )
        )
        return outcomes

    def _plan(self, pick: Pick, end_s: float, session_end_s: float) -> ClipPlanned:
        started, timeline = self._started, self._timeline
        window = choose(pick, end_s, timeline, session_end_s, self._settings.window)
        plan = ClipPlanned(
            tenant_id=started.tenant_id,
            channel_id=started.channel_id,
            session_id=started.session_id,
            clip_id=self._clip_id(pick),
            start_s=round(window.start_s, 3),
            peak_s=round(min(max(pick.peak_s, window.start_s), window.end_s), 3),
            end_s=round(window.end_s, 3),
            score=pick.score,
            kinds=pick.kinds,
            moment_ids=tuple(m.event_id for m in pick.moments if m.event_id in self._moments),
            evidence=tuple({"kind": m.kind, **m.evidence} for m in pick.moments),
            title=make_title(
                pick,
                timeline.samples(pick.peak_s - 2.0, window.end_s),
                self._started.vod_start_s,
            ),
        )
        self._clips += 1
        self._ready.append(self._order(plan, window))
        return plan

    def _order(self, plan: ClipPlanned, window: Window) -> CutOrder:
        pieces = self._timeline.pieces(window.start_s - _MEDIA_LEAD_S, window.end_s + 1.0)
        words = self._timeline.words(window.start_s, window.end_s)
        live = self._started.kind == "live"
        return CutOrder(plan=plan, pieces=tuple(pieces), words=tuple(words), live=live)

    def _clip_id(self, pick: Pick) -> str:
        seeds = ",".join(moment.event_id for moment in pick.moments)
        return stable_id("clip", self._started.session_id, seeds)

    def _joined(self, decision: Join) -> MomentJoined:
        moment = self._moments[decision.moment_id]
        return MomentJoined(
            tenant_id=moment.tenant_id,
            channel_id=moment.channel_id,
            session_id=moment.session_id,
            moment_id=moment.event_id,
            clip_id=self._clip_id(decision.pick),
            media_s=moment.media_s,
        )

    def _passed(self, decision: Pass) -> MomentPassed:
        moment = self._moments[decision.moment_id]
        return MomentPassed(
            tenant_id=moment.tenant_id,
            channel_id=moment.channel_id,
            session_id=moment.session_id,
            moment_id=moment.event_id,
            media_s=moment.media_s,
            reason=decision.reason,
        )


def _on_grid(media_s: float) -> float:
    return math.floor((media_s + _SLACK_S) / STEP_S) * STEP_S
