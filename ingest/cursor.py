"""What to read next: folds successive reloads of a live playlist into steps.

Law: each listed segment becomes exactly one step, in order; what a reload no longer lists becomes
one `Lost`; an older playlist than the one before (a stale edge) changes nothing. A list from
another address may count its segments otherwise: it goes on by dates, and what was seen by date
is never taken twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bus.events import MissingReason
from ingest.playlist import MediaPlaylist
from ingest.segment import Segment
from ingest.settings import IngestSettings
from ingest.source import Resume

_SAME_DATE_S = 0.25
_MOVED_S = 2.0
"""A known number with a date this much newer is a new segment, not another edge's clock."""
_REMEMBERED = 600
_HOLE_S = 0.75
"""Dates that lie further apart than this leave a hole."""
_PATIENCE_MAX = 3
"""Finding the stream anew is tried at longer and longer intervals, up to so many times as long."""

Verdict = Literal["go", "resolve", "stalled", "lost"]


@dataclass(frozen=True, slots=True)
class Take:
    """Read this segment."""

    segment: Segment
    restart: bool = False
    """From here on the list counts otherwise."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A run of segments that was never seen."""

    seq: int
    """Number of the last one of them; one before the first segment when numbers begin anew."""
    duration_s: float
    """Reckoned; `until_pdt_s` tells better when the media clock knows dates."""
    until_pdt_s: float | None
    reason: MissingReason
    detail: str
    restart: bool = False


Step = Take | Lost


class Cursor:
    """Where the reader stands in a live playlist."""

    def __init__(self, settings: IngestSettings, now_s: float, resume: Resume | None) -> None:
        """Begin at time `now_s` (any clock that does not go back), or behind `resume`."""
        self._settings = settings
        self._next: int | None = None
        self._last_date_s: float | None = None
        self._paths: deque[str] = deque(maxlen=_REMEMBERED)
        self._target_s = settings.resolve_after_s / 3
        self._last_duration_s = 0.0
        self._changed = True
        self._failures = 0
        self._advanced_s = now_s
        self._resolved_s = now_s
        self._resolves = 0
        self._until_date_s: float | None = None
        self._by_date = False
        self._told_stalled = False
        self.ended = False
        """The last reload held an end mark: nothing will be added."""
        if resume is not None:
            self._next = resume.seq + 1
            self._last_date_s = resume.pdt_s
            self._until_date_s = _told_until(resume)
            self._by_date = self._until_date_s is not None
            self._advanced_s = now_s - resume.age_s

    def feed(self, playlist: MediaPlaylist, now_s: float, *, elsewhere: bool = False) -> list[Step]:
        """Take a reload in; return what follows, in order.

        `elsewhere`: it comes from another address than the one before.
        """
        self._failures = 0
        if elsewhere and self._until_date_s is not None:
            self._by_date = True
        self._target_s = playlist.target_s
        self.ended = playlist.ended
        steps = self._steps(playlist, now_s)
        self._changed = any(isinstance(step, Take) for step in steps)
        if self._changed:
            self._advanced_s = now_s
            self._resolves = 0
            self._told_stalled = False
        for step in steps:
            if isinstance(step, Take):
                self._remember(step.segment)
        return steps

    def failed(self) -> None:
        """Note that a reload failed."""
        self._failures += 1

    def resolved(self, now_s: float) -> None:
        """Note that the stream is being looked for anew."""
        self._resolved_s = now_s
        self._resolves += 1

    def reload_in_s(self, spread: float) -> float:
        """Return how long to wait for the next reload; `spread` lies within -1 and 1."""
        settings = self._settings
        if self._failures:
            base_s = settings.backoff_first_s * 2.0 ** min(self._failures - 1, 10)
            spread = 1 + settings.reload_jitter * spread
            return min(base_s, settings.backoff_max_s) * spread
        base_s = self._last_duration_s if self._changed else self._target_s / 2
        base_s = min(base_s, self._target_s) * (1 + settings.reload_jitter * spread)
        return max(base_s, settings.reload_floor_s)

    def may_resolve(self, now_s: float) -> bool:
        """Tell whether the stream may be looked for anew by now; rarer while nothing new comes."""
        times = min(max(1, self._resolves), _PATIENCE_MAX)
        return now_s - self._resolved_s >= times * self._settings.resolve_every_s

    def verdict(self, now_s: float) -> Verdict:
        """Judge how long nothing new has come; `stalled` is told once for each stall."""
        idle_s = now_s - self._advanced_s
        if idle_s >= self._settings.lost_after_s:
            return "lost"
        if idle_s >= self._settings.stalled_after_s and not self._told_stalled:
            self._told_stalled = True
            return "stalled"
        patience_s = max(self._settings.resolve_after_s, 3 * self._target_s)
        if idle_s >= patience_s and self.may_resolve(now_s):
            return "resolve"
        return "go"

    def idle_s(self, now_s: float) -> float:
        """Return the seconds since something new was listed."""
        return now_s - self._advanced_s

    def _steps(self, playlist: MediaPlaylist, now_s: float) -> list[Step]:
        if not playlist.segments:
            return []
        if self._next is None:
            return [Take(s) for s in newest(playlist.segments, self._settings.start_back_s)]
        if self._by_date and all(s.pdt_s is not None for s in playlist.segments):
            return self._steps_by_date(playlist)
        if self._begins_anew(playlist):
            return self._restart(playlist, now_s)
        fresh = [s for s in playlist.segments if s.seq >= self._next]
        if not fresh:
            return []
        steps: list[Step] = [Take(segment) for segment in fresh]
        count = fresh[0].seq - self._next
        if count > 0:
            average_s = playlist.duration_s / len(playlist.segments)
            listed_s = sum(s.duration_s for s in fresh)
            idle_s = max(0.0, self.idle_s(now_s) - listed_s) + playlist.target_s
            steps.insert(
                0,
                Lost(
                    seq=fresh[0].seq - 1,
                    duration_s=min(count * average_s, idle_s),
                    until_pdt_s=fresh[0].pdt_s,
                    reason="outage" if self.idle_s(now_s) > 3 * playlist.target_s else "late",
                    detail=f"{count} segments were never listed",
                ),
            )
        return steps

    def _steps_by_date(self, playlist: MediaPlaylist) -> list[Step]:
        """Find the place in a list that may count otherwise; wait while it lags behind."""
        until_s, known = self._until_date_s, self._next
        assert until_s is not None  # it goes by dates
        assert known is not None
        unseen = [s for s in playlist.segments if _middle_s(s) > until_s]
        unseen = newest(unseen, self._settings.start_back_s)
        if not unseen:
            return []
        self._by_date = False
        first, *others = unseen
        hole_s = (first.pdt_s or 0.0) - until_s
        hole = hole_s > _HOLE_S
        # A gap takes the number before what follows it, which must be free.
        clash = first.seq < known or (hole and first.seq == known)
        steps: list[Step] = [
            Take(first, restart=clash or first.seq != known),
            *(Take(segment) for segment in others),
        ]
        if clash or hole:
            steps.insert(
                0,
                Lost(
                    seq=first.seq - 1,
                    duration_s=max(0.0, hole_s),
                    until_pdt_s=first.pdt_s,
                    reason="outage" if hole_s > 3 * playlist.target_s else "late",
                    detail="what lies between two lists was never listed",
                    restart=clash,
                ),
            )
        return steps

    def _restart(self, playlist: MediaPlaylist, now_s: float) -> list[Step]:
        fresh = [s for s in playlist.segments if not self._seen(s)]
        fresh = newest(fresh, self._settings.start_back_s)
        if not fresh:
            return []
        listed_s = sum(segment.duration_s for segment in fresh)
        lost = Lost(
            seq=fresh[0].seq - 1,
            duration_s=max(0.0, self.idle_s(now_s) - listed_s),
            until_pdt_s=fresh[0].pdt_s,
            reason="outage",
            detail="the media sequence began anew",
            restart=True,
        )
        first, *others = fresh
        return [lost, Take(first, restart=True), *(Take(segment) for segment in others)]

    def _begins_anew(self, playlist: MediaPlaylist) -> bool:
        """Tell a restarted sequence from a stale edge and from one that goes on."""
        if self._next is None:
            return False
        if playlist.last_seq < self._next - 1:
            return any(not self._seen(segment) for segment in playlist.segments)
        if self._last_date_s is None:
            return False
        newer_s = self._last_date_s + max(_MOVED_S, playlist.target_s)
        return any(
            segment.seq < self._next and segment.pdt_s is not None and segment.pdt_s > newer_s
            for segment in playlist.segments
        )

    def _seen(self, segment: Segment) -> bool:
        if segment.pdt_s is not None and self._last_date_s is not None:
            return segment.pdt_s <= self._last_date_s + _SAME_DATE_S
        return segment.path in self._paths

    def _remember(self, segment: Segment) -> None:
        self._next = segment.seq + 1
        self._last_duration_s = segment.duration_s
        self._paths.append(segment.path)
        self._until_date_s = None
        if segment.pdt_s is not None:
            self._last_date_s = segment.pdt_s
            self._until_date_s = segment.pdt_s + segment.duration_s


def _middle_s(segment: Segment) -> float:
    """Date of a segment's middle: dates of one moment differ a little from list to list."""
    return (segment.pdt_s or 0.0) + segment.duration_s / 2


def _told_until(resume: Resume) -> float | None:
    """Return the date at which the told media ends, None when that is not known."""
    if resume.pdt_s is None or resume.media_s is None:
        return None
    return resume.pdt_s + resume.media_end_s - resume.media_s


def newest(segments: Sequence[Segment], span_s: float) -> list[Segment]:
    """Return the newest segments that fit into `span_s`, one at the least."""
    taken: list[Segment] = []
    total_s = 0.0
    for segment in reversed(segments):
        total_s += segment.duration_s
        if taken and total_s > span_s:
            break
        taken.append(segment)
    return taken[::-1]


def fallen_behind(waiting: Sequence[Take], first_listed: int, keep: int) -> int:
    """Return how many waiting segments to give up: all but the newest, once one slid out."""
    if not waiting or waiting[0].segment.seq >= first_listed:
        return 0
    if any(take.restart for take in waiting):
        return 0
    return max(0, len(waiting) - keep)
