"""Which moments are one event, and how good the event is.

Law: pure, and independent of the order in which moments come.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus.events import MomentDetected
from clipper.port import Pick
from clipper.settings import MergeSettings

SPOTTER_ENGINES = frozenset({"", "phrase_spotter"})
"""Values of the evidence `engine` that need support: only the trigger phrase was listened for."""


def in_order(moments: Sequence[MomentDetected]) -> list[MomentDetected]:
    """Sort moments by peak; ties by kind and id, so that the order is one."""
    return sorted(moments, key=lambda each: (each.peak_s, each.kind, each.event_id))


def belongs(moment: MomentDetected, group: Sequence[MomentDetected], how: MergeSettings) -> bool:
    """Say whether a moment is part of the event that the group tells of."""
    peaks = [moment.peak_s, *(each.peak_s for each in group)]
    if max(peaks) - min(peaks) > how.span_max_s:
        return False
    return any(_touch(moment, each, how) for each in group)


def _touch(one: MomentDetected, other: MomentDetected, how: MergeSettings) -> bool:
    if abs(one.peak_s - other.peak_s) <= how.peaks_within_s:
        return True
    shared_s = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    shorter_s = min(one.end_s - one.start_s, other.end_s - other.start_s)
    return shorter_s > 0 and shared_s / shorter_s > how.overlap_min


def group_all(moments: Sequence[MomentDetected], how: MergeSettings) -> list[list[MomentDetected]]:
    """Split a whole session's moments into events, in order of time."""
    groups: list[list[MomentDetected]] = []
    for moment in in_order(moments):
        if groups and belongs(moment, groups[-1], how):
            groups[-1].append(moment)
        else:
            groups.append([moment])
    return groups


def to_pick(group: Sequence[MomentDetected], how: MergeSettings) -> Pick:
    """Make one Pick of an event's moments (at least one).

    The score is that of the best kind after its weight, plus a boost for each further kind. The
    peak is the best moment's.
    """
    ordered = in_order(group)
    kinds = tuple(sorted({each.kind for each in ordered}))
    weighed = [(each.score * _weight(each, kinds, how), each) for each in ordered]
    best_score, best = max(weighed, key=lambda pair: (pair[0], -pair[1].peak_s, pair[1].event_id))
    score = min(1.0, max(0.0, best_score) + how.agreement_boost * (len(kinds) - 1))
    return Pick(
        start_s=min(each.start_s for each in ordered),
        peak_s=best.peak_s,
        end_s=max(each.end_s for each in ordered),
        score=round(score, 4),
        kinds=kinds,
        moments=tuple(ordered),
    )


def _weight(moment: MomentDetected, kinds: Sequence[str], how: MergeSettings) -> float:
    if (
        moment.kind == "spoken_phrase"
        and len(kinds) == 1
        and str(moment.evidence.get("engine", "")) in SPOTTER_ENGINES
    ):
        return how.phrase_alone_weight
    return how.weights.get(moment.kind, 1.0)


def clock(media_s: float) -> str:
    """Write media time for a person: `1:02:33`, `2:33`."""
    whole = max(0, int(media_s))
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
