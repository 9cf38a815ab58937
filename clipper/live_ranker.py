"""The ranking of a running stream: decide soon, never too often.

Law: an event is decided once. Above the bar that is `hold_s` after its peak, or when its window
could close at the earliest; below the bar, `hold_weak_s` after its first peak. What tells of it
afterwards joins its clip.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus.events import MomentDetected
from clipper.merge import belongs, to_pick
from clipper.port import Decision, Join, Pass, Pick
from clipper.settings import LiveRankerSettings, MergeSettings, WindowSettings
from clipper.window import earliest_end

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Taken:
    pick: Pick
    moments: list[MomentDetected]
    """The pick's, and those that have joined."""


class LiveRanker:
    """Picks events above a bar, with a cooldown and a limit for each hour."""

    name = "live"

    def __init__(
        self,
        settings: LiveRankerSettings,
        merge: MergeSettings,
        window: WindowSettings | None = None,
    ) -> None:
        self._settings = settings
        self._merge = merge
        self._window = window or WindowSettings()
        self._offered: list[MomentDetected] = []
        self._open: list[list[MomentDetected]] = []
        self._taken: list[_Taken] = []

    def offer(self, moment: MomentDetected) -> list[Decision]:
        """Take a moment in."""
        self._offered.append(moment)
        return []

    def settle(self, media_s: float) -> list[Decision]:
        """Decide the events whose hold is over at `media_s`."""
        decisions = self._sort_in()
        while ripe := [group for group in self._open if self._ripe_s(group) <= media_s]:
            first = min(ripe, key=lambda group: (self._ripe_s(group), group[0].event_id))
            self._open.remove(first)
            decisions += self._decide(first)
        return decisions

    def close(self) -> list[Decision]:
        """Decide every event that is still open."""
        return self.settle(float("inf"))

    def _sort_in(self) -> list[Decision]:
        offered, self._offered = self._offered, []
        decisions: list[Decision] = []
        for moment in sorted(
            offered, key=lambda each: (each.decided_s, each.peak_s, each.event_id)
        ):
            clip = next((t for t in self._taken if belongs(moment, t.moments, self._merge)), None)
            group = next((g for g in self._open if belongs(moment, g, self._merge)), None)
            if clip is not None:
                clip.moments.append(moment)
                decisions.append(Join(moment.event_id, clip.pick))
            elif group is not None:
                group.append(moment)
            else:
                self._open.append([moment])
        return decisions

    def _ripe_s(self, group: list[MomentDetected]) -> float:
        pick = to_pick(group, self._merge)
        if pick.score < self._settings.score_min:
            return min(each.peak_s for each in group) + self._settings.hold_weak_s
        return min(pick.peak_s + self._settings.hold_s, earliest_end(pick, self._window))

    def _decide(self, group: list[MomentDetected]) -> list[Decision]:
        pick = to_pick(group, self._merge)
        reason = self._objection(pick)
        if reason:
            return [Pass(moment.event_id, reason) for moment in pick.moments]
        self._taken = [each for each in self._taken if pick.peak_s - each.pick.peak_s < _HOUR_S]
        self._taken.append(_Taken(pick, list(pick.moments)))
        return [pick]

    def _objection(self, pick: Pick) -> str:
        how = self._settings
        if pick.score < how.score_min:
            alone = pick.kinds == ("spoken_phrase",) and how.score_min <= 1.0
            hint = ", and nothing else agrees with the phrase" if alone else ""
            return f"score: {pick.score:.2f} is below {how.score_min:.2f}{hint}"
        distances = [pick.peak_s - each.pick.peak_s for each in self._taken]
        near_s = min((abs(distance) for distance in distances), default=float("inf"))
        if near_s < how.cooldown_s:
            return f"cooldown: {near_s:.0f} s after the last clip"
        if sum(1 for distance in distances if abs(distance) < _HOUR_S) >= how.clips_per_hour:
            return f"limit: {how.clips_per_hour} clips in the last hour"
        return ""
