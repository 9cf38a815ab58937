"""Counts what a run has lost, doubled, broken or left undone.

Law: a count that should be zero names what it counted, so that whoever reads it can look; what the
log says is held against the pure cores, which never died.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bus.events import (
    ChatWindow,
    ClipCut,
    ClipFailed,
    ClipPlanned,
    Event,
    MomentDetected,
    MomentJoined,
    MomentPassed,
    RenderFailed,
    RenderFinished,
    RenderQueued,
    SegmentMissing,
    SegmentStored,
    SessionClipped,
    SessionEnded,
    SessionStarted,
)
from ops.bootstrap import detector_host, session_clipper
from ops.settings import Settings
from tests.chaos.truth import Truth

_SLACK_S = 0.01


@dataclass
class Count:
    """One line of the table."""

    name: str
    found: float
    wanted: str
    """Such as `= 0`; empty for what is only told."""
    ok: bool = True
    which: list[str] = field(default_factory=list)
    """The first of what was counted."""


def zero(name: str, found: Sequence[str]) -> Count:
    """Return a line that must be zero."""
    return Count(name, len(found), "= 0", not found, list(found[:5]))


def told(name: str, found: float) -> Count:
    """Return a line that is only told."""
    return Count(name, found, "")


def check_log(truth: Truth, settings: Settings, acked: set[str]) -> list[Count]:
    """Hold the log against itself, against the receipts and against the pure cores."""
    moments = truth.of(MomentDetected)
    plans = truth.of(ClipPlanned)
    more, fewer = _unlike(truth, settings)
    return [
        told("sessions", len(truth.of(SessionStarted))),
        zero("sessions that never ended", _unended(truth)),
        zero("sessions that were given up as lost", _lost(truth)),
        told("segments stored", len(truth.of(SegmentStored))),
        zero("media that is neither stored nor a told gap", _holes(truth)),
        zero("segments stored twice", _stored_twice(truth)),
        told("media seconds missed (told gaps)", _missed_s(truth)),
        told("chat seconds without a reader (told gaps)", _chat_gaps(truth)),
        told("moments", len(moments)),
        told("acked events with a receipt", len(acked)),
        zero("acked moments, plans and cuts lost", sorted(acked - truth.ids)),
        zero("moments without exactly one decision", _undecided(truth)),
        zero("moments that the pure detectors do not see", more),
        zero("moments that only the pure detectors see", fewer),
        told("clips planned", len(plans)),
        zero("plans that the pure ranker does not make", _plans_unlike(truth, settings)),
        zero("duplicate clips", _duplicates(truth, settings)),
        zero("plans without exactly one outcome", _without_outcome(truth)),
        told("clips cut", len(truth.of(ClipCut))),
        told("clips refused, with a reason", len(truth.of(ClipFailed))),
        told("renders queued", len(truth.of(RenderQueued))),
        zero("renders without exactly one outcome", _unrendered(truth)),
        told("renders refused, with a reason", len(truth.of(RenderFailed))),
        told("facts that stand in the log again", truth.again),
        zero("dead letters", truth.dead_letters),
    ]


def _unended(truth: Truth) -> list[str]:
    ended = {event.session_id for event in truth.of(SessionEnded)}
    clipped = {event.session_id for event in truth.of(SessionClipped)}
    return [e.session_id for e in truth.of(SessionStarted) if e.session_id not in ended & clipped]


def _lost(truth: Truth) -> list[str]:
    return [e.session_id for e in truth.of(SessionEnded) if e.reason == "lost"]


def _holes(truth: Truth) -> list[str]:
    wrong = []
    for session_id, events in truth.sessions():
        pieces = [e for e in events if isinstance(e, SegmentStored | SegmentMissing)]
        at_s = 0.0
        for piece in sorted(pieces, key=lambda each: each.media_s):
            if abs(piece.media_s - at_s) > _SLACK_S:
                wrong.append(f"{session_id}: {at_s:.2f} s to {piece.media_s:.2f} s")
            at_s = max(at_s, piece.end_s)
        ends = [e.media_s for e in events if isinstance(e, SessionEnded)]
        if ends and abs(ends[0] - at_s) > _SLACK_S:
            wrong.append(f"{session_id}: ends at {ends[0]:.2f} s, media at {at_s:.2f} s")
    return wrong


def _stored_twice(truth: Truth) -> list[str]:
    """Return segments that a second session has stored too."""
    times = Counter((e.channel_id, e.epoch, e.seq) for e in truth.of(SegmentStored))
    return [f"{channel}: {seq}" for (channel, _, seq), n in times.items() if n > 1]


def _missed_s(truth: Truth) -> float:
    return sum(event.duration_s for event in truth.of(SegmentMissing))


def _chat_gaps(truth: Truth) -> float:
    return sum(event.duration_s for event in truth.of(ChatWindow) if event.gap)


def _undecided(truth: Truth) -> list[str]:
    decided: Counter[str] = Counter()
    decided.update(moment for plan in truth.of(ClipPlanned) for moment in plan.moment_ids)
    decided.update(event.moment_id for event in truth.of(MomentPassed))
    decided.update(event.moment_id for event in truth.of(MomentJoined))
    known = {event.event_id for event in truth.of(MomentDetected)}
    wrong = [f"{each}: {decided[each]} decisions" for each in known if decided[each] != 1]
    return wrong + [f"{each}: decided, never told" for each in decided if each not in known]


def _unlike(truth: Truth, settings: Settings) -> tuple[list[str], list[str]]:
    """Return moments that the pure detectors do not see in the same features, and the reverse."""
    more, fewer = [], []
    for _, events in truth.sessions():
        seen = {e.event_id for e in events if isinstance(e, MomentDetected)}
        pure = {e.event_id for e in pure_moments(events, settings)}
        more += sorted(seen - pure)
        fewer += sorted(pure - seen)
    return more, fewer


def pure_moments(events: Sequence[Event], settings: Settings) -> list[MomentDetected]:
    """Return what detectors that never died see in a session's features and chat."""
    started = next(e for e in events if isinstance(e, SessionStarted))
    host = detector_host(settings, started)
    out = [o for event in events if event.TOPIC != "moments" for o in host.feed(event)]
    return [each for each in out if isinstance(each, MomentDetected)]


def _plans_unlike(truth: Truth, settings: Settings) -> list[str]:
    wrong = []
    for _, events in truth.sessions():
        started = next(e for e in events if isinstance(e, SessionStarted))
        clipper = session_clipper(settings, started)
        out = [o for event in events if event.TOPIC != "clips" for o in clipper.feed(event)]
        pure = {o.event_id for o in out if not isinstance(o, SessionClipped)}
        seen = {
            e.event_id for e in events if isinstance(e, ClipPlanned | MomentPassed | MomentJoined)
        }
        wrong += sorted(pure ^ seen)
    return wrong


def _duplicates(truth: Truth, settings: Settings) -> list[str]:
    """Return clips that show what another clip of their session shows."""
    wrong = []
    by_session: dict[str, list[ClipPlanned]] = defaultdict(list)
    for plan in truth.of(ClipPlanned):
        by_session[plan.session_id].append(plan)
    apart_s = settings.clipper.live.cooldown_s
    for plans in by_session.values():
        plans.sort(key=lambda plan: plan.peak_s)
        wrong += [
            f"{one.clip_id} and {two.clip_id}: {one.peak_s:.1f} s and {two.peak_s:.1f} s"
            for one, two in itertools.pairwise(plans)
            if two.peak_s - one.peak_s < apart_s - _SLACK_S
        ]
    return wrong


def _without_outcome(truth: Truth) -> list[str]:
    ends = Counter(e.clip_id for e in truth.of(ClipCut))
    ends.update(e.clip_id for e in truth.of(ClipFailed))
    planned = {plan.clip_id for plan in truth.of(ClipPlanned)}
    return [f"{each}: {ends[each]}" for each in planned | set(ends) if ends[each] != 1]


def _unrendered(truth: Truth) -> list[str]:
    ends = Counter(e.render_id for e in truth.of(RenderFinished))
    ends.update(e.render_id for e in truth.of(RenderFailed))
    queued = {event.render_id for event in truth.of(RenderQueued)}
    return [f"{each}: {ends[each]}" for each in queued | set(ends) if ends[each] != 1]
