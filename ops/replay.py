"""Runs recorded features through the detectors and a ranker again, without any video. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bus.events import (
    ClipPlanned,
    Event,
    MomentDetected,
    MomentJoined,
    MomentPassed,
    ReactionLearned,
    SessionStarted,
)
from clipper.session import SessionClipper
from detectors.host import DetectorHost

MakeHost = Callable[[SessionStarted], DetectorHost]
MakeClipper = Callable[[SessionStarted], SessionClipper]


@dataclass(slots=True)
class Replayed:
    """What detectors and ranker make of one recorded session."""

    started: SessionStarted
    moments: list[MomentDetected] = field(default_factory=list)
    passed: dict[str, MomentPassed] = field(default_factory=dict)
    joined: dict[str, MomentJoined] = field(default_factory=dict)
    clips: list[ClipPlanned] = field(default_factory=list)
    reaction: ReactionLearned | None = None
    """How long chat took to answer, as learned last; None: it was assumed."""

    def kinds_of(self, clip: ClipPlanned) -> list[str]:
        """Return the kinds that agree on a clip, those that joined it too, sorted."""
        joined = {
            moment.kind
            for moment in self.moments
            if moment.event_id in self.joined
            and self.joined[moment.event_id].clip_id == clip.clip_id
        }
        return sorted({*clip.kinds, *joined})

    def taken(self) -> dict[str, str]:
        """Return the clip of each moment that one shows, by moment."""
        planned = {moment: clip.clip_id for clip in self.clips for moment in clip.moment_ids}
        return planned | {each.moment_id: each.clip_id for each in self.joined.values()}


def replay(
    events: Iterable[Event], make_host: MakeHost, make_clipper: MakeClipper
) -> list[Replayed]:
    """Feed recorded events, in any order that the bus allows, and return one result a session.

    What is recorded of earlier decisions (moments, clips) is left out: they are made anew.
    """
    runs: dict[str, _Run] = {}
    for event in events:
        run = runs.get(event.session_id)
        if run is None:
            if not isinstance(event, SessionStarted):
                continue
            run = runs[event.session_id] = _Run(event, make_host(event), make_clipper(event))
        run.feed(event)
    return [run.result for run in runs.values()]


class _Run:
    def __init__(
        self, started: SessionStarted, host: DetectorHost, clipper: SessionClipper
    ) -> None:
        self.result = Replayed(started)
        self._host = host
        self._clipper = clipper

    def feed(self, event: Event) -> None:
        self._decide(event)
        for moment in self._host.feed(event):
            if isinstance(moment, MomentDetected):
                self.result.moments.append(moment)
            elif isinstance(moment, ReactionLearned):
                self.result.reaction = moment
            self._decide(moment)

    def _decide(self, event: Event) -> None:
        for decision in self._clipper.feed(event):
            if isinstance(decision, ClipPlanned):
                self.result.clips.append(decision)
            elif isinstance(decision, MomentPassed):
                self.result.passed[decision.moment_id] = decision
            elif isinstance(decision, MomentJoined):
                self.result.joined[decision.moment_id] = decision
