"""What a session has come to so far: its moments, its clips and what is still under way.

Law: pure; the same events in any order that the bus allows, told once or many times, give the same
outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bus.events import (
    ChannelDegraded,
    ClipCut,
    ClipFailed,
    ClipPlanned,
    Event,
    Evidence,
    MomentDetected,
    MomentJoined,
    MomentPassed,
    MomentsSettled,
    NativeClipMade,
    ReactionLearned,
    RenderFailed,
    RenderFinished,
    RenderProgressed,
    RenderQueued,
    SegmentMissing,
    SegmentStored,
    SessionClipped,
    SessionEnded,
    SessionStarted,
)

Phase = Literal["starting", "watching", "clipping", "rendering", "done"]


@dataclass(slots=True)
class ClipOutcome:
    """One clip and its outputs."""

    clip_id: str
    planned: ClipPlanned | None = None
    cut: ClipCut | None = None
    failed: ClipFailed | None = None
    renders: dict[str, RenderFinished] = field(default_factory=dict)
    """Finished outputs by layout."""
    render_failures: dict[str, RenderFailed] = field(default_factory=dict)
    percents: dict[str, int] = field(default_factory=dict)
    """Progress by render id."""
    twitch_url: str | None = None
    """Where the same moment is as a clip on Twitch; None when it is not there."""

    def settled(self, layouts: tuple[str, ...]) -> bool:
        """Whether nothing more will come for this clip."""
        if self.failed is not None:
            return True
        return self.cut is not None and all(
            layout in self.renders or layout in self.render_failures for layout in layouts
        )


@dataclass(slots=True)
class SessionOutcome:
    """One session, folded from its events."""

    session_id: str
    layouts: tuple[str, ...]
    """Outputs that each clip is to have."""
    started: SessionStarted | None = None
    ended: SessionEnded | None = None
    clipped: SessionClipped | None = None
    stored_until_s: float = 0.0
    settled_until_s: float = 0.0
    segments: int = 0
    missing: dict[str, float] = field(default_factory=dict)
    """Seconds without media, by reason."""
    notices: list[ChannelDegraded] = field(default_factory=list)
    moments: dict[str, MomentDetected] = field(default_factory=dict)
    reaction: ReactionLearned | None = None
    """How long chat takes to answer, as learned last; None while it is assumed."""
    passed: dict[str, MomentPassed] = field(default_factory=dict)
    joined: dict[str, MomentJoined] = field(default_factory=dict)
    clips: dict[str, ClipOutcome] = field(default_factory=dict)
    _seen: set[tuple[str, int, int]] = field(default_factory=set)

    def feed(self, event: Event) -> None:
        """Take one event of this session."""
        match event:
            case SessionStarted():
                self.started = event
            case SessionEnded():
                self.ended = event
            case SessionClipped():
                self.clipped = event
            case ChannelDegraded():
                if all(event.event_id != known.event_id for known in self.notices):
                    self.notices.append(event)
            case SegmentStored() | SegmentMissing():
                self._feed_segment(event)
            case _:
                self._feed_moment(event)

    def _feed_moment(self, event: Event) -> None:
        match event:
            case MomentDetected():
                self.moments[event.event_id] = event
            case MomentsSettled():
                self.settled_until_s = max(self.settled_until_s, event.media_s)
            case ReactionLearned():
                if self.reaction is None or event.media_s >= self.reaction.media_s:
                    self.reaction = event
            case MomentPassed():
                self.passed[event.moment_id] = event
            case MomentJoined():
                self.joined[event.moment_id] = event
            case _:
                self._feed_clip(event)

    def _feed_segment(self, event: SegmentStored | SegmentMissing) -> None:
        place = (type(event).__name__, event.epoch, event.seq)
        if place in self._seen:
            return
        self._seen.add(place)
        self.stored_until_s = max(self.stored_until_s, event.end_s)
        if isinstance(event, SegmentMissing):
            lost_s = self.missing.get(event.reason, 0.0) + event.duration_s
            self.missing[event.reason] = lost_s
        else:
            self.segments += 1

    def _feed_clip(self, event: Event) -> None:
        match event:
            case ClipPlanned():
                self._clip(event.clip_id).planned = event
            case ClipCut():
                self._clip(event.clip_id).cut = event
            case ClipFailed():
                self._clip(event.clip_id).failed = event
            case NativeClipMade():
                self._clip(event.clip_id).twitch_url = event.url
            case RenderQueued():
                self._clip(event.clip_id).percents.setdefault(event.render_id, 0)
            case RenderProgressed():
                percents = self._clip(event.clip_id).percents
                percents[event.render_id] = max(percents.get(event.render_id, 0), event.percent)
            case RenderFinished():
                clip = self._clip(event.clip_id)
                clip.renders[event.layout] = event
                clip.percents[event.render_id] = 100
            case RenderFailed():
                clip = self._clip(event.clip_id)
                clip.render_failures[event.layout] = event
                clip.percents[event.render_id] = 100
            case _:
                pass

    def _clip(self, clip_id: str) -> ClipOutcome:
        return self.clips.setdefault(clip_id, ClipOutcome(clip_id))

    def taken(self) -> dict[str, str]:
        """Return the clip of each moment that one shows, by moment."""
        taken = {
            moment_id: clip.clip_id
            for clip in self.planned
            if clip.planned is not None
            for moment_id in clip.planned.moment_ids
        }
        return taken | {each.moment_id: each.clip_id for each in self.joined.values()}

    def joined_to(self, clip_id: str) -> list[MomentDetected]:
        """Return the moments that joined a clip after its pick, in order of their peaks."""
        found = [
            self.moments[each.moment_id]
            for each in self.joined.values()
            if each.clip_id == clip_id and each.moment_id in self.moments
        ]
        return sorted(found, key=lambda moment: (moment.peak_s, moment.kind, moment.event_id))

    def kinds_of(self, plan: ClipPlanned) -> list[str]:
        """Return the kinds that agree on a clip, each once, sorted."""
        return sorted({*plan.kinds, *(each.kind for each in self.joined_to(plan.clip_id))})

    def evidence_of(self, plan: ClipPlanned) -> list[Evidence]:
        """Return what speaks for a clip: a mapping for each moment, with its `kind`."""
        joined = self.joined_to(plan.clip_id)
        return [*plan.evidence, *({"kind": each.kind, **each.evidence} for each in joined)]

    @property
    def planned(self) -> list[ClipOutcome]:
        """Clips whose plan is known, in the order of the media clock."""
        known = [clip for clip in self.clips.values() if clip.planned is not None]
        return sorted(known, key=lambda clip: clip.planned.start_s if clip.planned else 0.0)

    @property
    def phase(self) -> Phase:
        """How far the session is on its way."""
        if self.started is None:
            return "starting"
        if self.ended is None:
            return "watching"
        if self.clipped is None or any(
            clip.cut is None and clip.failed is None for clip in self.planned
        ):
            return "clipping"
        if len(self.planned) < self.clipped.clips or not all(
            clip.settled(self.layouts) for clip in self.planned
        ):
            return "rendering"
        if not self.joined.keys() <= self.moments.keys():
            return "rendering"
        return "done"

    @property
    def render_share(self) -> float:
        """Share of the rendering of the known clips that is done, 0 to 1."""
        alive = [clip for clip in self.planned if clip.failed is None]
        if not alive:
            return 1.0
        total = len(alive) * len(self.layouts)
        done = sum(sum(clip.percents.values()) for clip in alive) / 100
        return min(1.0, done / total) if total else 1.0
