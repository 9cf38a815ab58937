"""What a session's own events tell about it: where to go on, and what is still to be said.

Law: pure; the events of one session in, in the order of their topics, its state out.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Literal

from bus.events import (
    ChatWindow,
    Event,
    MinuteWatched,
    ReactionLearned,
    SegmentMissing,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)
from ingest.minutes import MinuteCount
from ingest.source import Resume

_STORED_KEPT = 2_000


class SessionLog:
    """One session, folded from its events."""

    def __init__(self, started: SessionStarted) -> None:
        self.started = started
        self.ended = False
        self.media_end_s = 0.0
        self.missing_s = 0.0
        self.chat_until_s = 0.0
        self.last_heard_s = started.started_at_s
        """Unix time at which the last of its events was published."""
        self.stored: deque[SegmentStored] = deque(maxlen=_STORED_KEPT)
        """The newest stored segments."""
        self.reaction_s = started.reaction_s
        """How long its chat took to answer, by the latest that was learned; None: unknown."""
        self._reaction_at_s = -math.inf
        self.minutes = MinuteCount()
        self._due: list[tuple[int, float]] = []
        self._told: set[int] = set()
        self._last: SegmentStored | SegmentMissing | None = None

    @property
    def empty(self) -> bool:
        """No segment has been told yet."""
        return self._last is None

    def feed(self, event: Event, published_at_s: float) -> list[tuple[int, float]]:
        """Take one event of this session in; return (minute, media second) that it fills."""
        full: list[tuple[int, float]] = []
        match event:
            case SegmentStored():
                self.stored.append(event)
                full = self.minutes.add(event.media_s, event.end_s)
                self._due += full
                self._advance(event, published_at_s)
            case SegmentMissing():
                self.missing_s += event.duration_s
                self._advance(event, published_at_s)
            case ChatWindow():
                end_s = event.media_s + event.duration_s
                self.chat_until_s = max(self.chat_until_s, end_s)
            case MinuteWatched():
                self._told.add(event.minute)
            case ReactionLearned():
                if event.media_s >= self._reaction_at_s:
                    self._reaction_at_s = event.media_s
                    self.reaction_s = event.delay_s
            case SessionEnded():
                self.ended = True
            case _:
                pass
        return full

    def _advance(self, event: SegmentStored | SegmentMissing, published_at_s: float) -> None:
        self._last = event
        self.media_end_s = max(self.media_end_s, event.end_s)
        self.last_heard_s = max(self.last_heard_s, published_at_s)

    def resume(self, now_s: float) -> Resume | None:
        """Return where to go on; None when nothing has been told yet."""
        if self._last is None:
            return None
        stored = self.stored[-1] if self.stored else None
        return Resume(
            epoch=self._last.epoch,
            seq=self._last.seq,
            disc=0 if stored is None else stored.disc,
            media_end_s=self.media_end_s,
            media_s=None if stored is None else stored.media_s,
            pts_s=None if stored is None else stored.pts_s,
            pdt_s=None if stored is None else stored.pdt_s,
            wall_start_s=self.started.wall_start_s,
            age_s=max(0.0, now_s - self.last_heard_s),
        )

    def minutes_untold(self) -> list[tuple[int, float]]:
        """Return the full minutes (minute, media second) that were never published."""
        return [(minute, at_s) for minute, at_s in self._due if minute not in self._told]

    def closing(self, reason: Literal["ended", "lost"]) -> list[Event]:
        """Return the events that end a session nobody writes: unread chat seconds, then its end."""
        names: dict[str, Any] = {
            "tenant_id": self.started.tenant_id,
            "channel_id": self.started.channel_id,
            "session_id": self.started.session_id,
        }
        until_s = self.chat_until_s
        events: list[Event] = []
        if self.started.has_chat:
            until_s = float(max(math.ceil(self.media_end_s), math.ceil(self.chat_until_s)))
            events += [
                ChatWindow(**names, media_s=float(second), gap=True)
                for second in range(math.ceil(self.chat_until_s), math.ceil(self.media_end_s))
            ]
        events.append(
            SessionEnded(
                **names,
                media_s=self.media_end_s,
                chat_until_s=until_s,
                stored_s=self.minutes.stored_s,
                missing_s=self.missing_s,
                reason=reason,
            )
        )
        return events
