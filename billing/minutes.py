"""Minutes that were really watched.

Law: minutes ≤ floor(distinct stored media seconds / 60), however often and in whatever order
events come; what was not stored is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bus.events import Event, MinuteWatched, SegmentStored
from store.spans import Span, to_span, total_ms, unite


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedMinutes:
    """What one session may be charged for."""

    claimed: int
    """Distinct minutes that the meter has told."""
    stored_s: float
    """Distinct media seconds that were stored, to the millisecond."""

    @property
    def chargeable(self) -> int:
        """Whole minutes: claimed, and stored."""
        return chargeable_minutes(self.claimed, self.stored_s)


def chargeable_minutes(claimed: int, stored_s: float) -> int:
    """Return the minutes that may be charged for `stored_s` distinct media seconds."""
    return max(0, min(claimed, round(stored_s * 1000) // 60_000))


@dataclass(slots=True)
class _Session:
    minutes: set[int] = field(default_factory=set)
    stored: list[Span] = field(default_factory=list)


class MinuteMeter:
    """Folds usage events, and segments as their audit, session by session."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], _Session] = {}

    def feed(self, event: Event) -> None:
        """Count a MinuteWatched or a SegmentStored; other events change nothing."""
        if isinstance(event, MinuteWatched):
            self._session(event).minutes.add(event.minute)
        elif isinstance(event, SegmentStored):
            session = self._session(event)
            session.stored = unite([*session.stored, to_span(event.media_s, event.duration_s)])

    def watched(self, tenant_id: str, session_id: str) -> WatchedMinutes:
        """Return a session's minutes; none for one that was never heard of."""
        session = self._sessions.get((tenant_id, session_id), _Session())
        return WatchedMinutes(
            claimed=len(session.minutes), stored_s=total_ms(session.stored) / 1000
        )

    def _session(self, event: Event) -> _Session:
        return self._sessions.setdefault((event.tenant_id, event.session_id), _Session())
