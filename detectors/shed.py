"""What a live session leaves out while the machine cannot keep up with it.

Law: pure. What costs most and matters least goes first: frames, then the search for phrases, then
whole old segments, which are told as gaps and so never pass for silence. Chat, segments and, but
for those gaps, loudness are never left out; a replay leaves out nothing, for it can wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from bus.events import ChannelDegraded, LiveLagged, SegmentMissing, SegmentStored
from detectors.settings import ShedSettings

What = Literal["frames", "phrases", "segments"]
Told = LiveLagged | ChannelDegraded

OVERLOADED = "overloaded"
CAUGHT_UP = "caught_up"
"""Reasons of `ChannelDegraded`: something begins to be left out, nothing is any more."""

_SHOWN: Mapping[What, str] = {
    "frames": "frames",
    "phrases": "the search for spoken phrases",
    "segments": "whole old segments",
}


class Shed:
    """What one session leaves out at present, and what it has left out."""

    def __init__(self, settings: ShedSettings, *, live: bool, overloaded: bool = False) -> None:
        """`overloaded`: it was told before a restart, and not that it is over."""
        self._after_s: dict[What, float] = {
            "frames": settings.frames_after_s,
            "phrases": settings.phrases_after_s,
            "segments": settings.segments_after_s,
        }
        self._settings = settings
        self._live = live
        self._on: set[What] = {"frames"} if overloaded and live else set()
        self._since = "since it was started again" if self._on else ""
        self._pressed = False
        self._told_at_s = 0.0
        self._lost: Counter[What] = Counter()
        self._lost_s: dict[What, float] = dict.fromkeys(self._after_s, 0.0)

    @property
    def is_active(self) -> bool:
        """Something is left out at present."""
        return bool(self._on)

    def leaves_out(self, what: What) -> bool:
        """Say whether this is left out at present."""
        return what in self._on

    def left_out(self, what: What, segment: SegmentStored) -> None:
        """Note that it has been left out for a segment."""
        self._lost[what] += 1
        self._lost_s[what] += segment.duration_s

    def see(
        self, segment: SegmentStored | SegmentMissing, lag_s: float, now_s: float
    ) -> list[Told]:
        """Decide by how far the session is behind at its next segment; return what is to be told.

        Each measure begins beyond its own lag and ends when the lag has fallen to `back_share` of
        it. `now_s`: any clock in seconds.
        """
        if not self._live:
            return []
        before = set(self._on)
        for what, after_s in self._after_s.items():
            if self._is_beyond(lag_s, after_s, now=what in before):
                self._on.add(what)
            else:
                self._on.discard(what)
        told: list[Told] = self._press(segment, lag_s, now_s)
        if self._on - before:
            named = _listed([_SHOWN[what] for what in self._after_s if what in self._on])
            said = f"the machine cannot keep up: {named} are left out until it has caught up"
            told.append(_degraded(segment, OVERLOADED, said))
        elif before and not self._on:
            told.append(self._over(segment))
        return told

    def _is_beyond(self, lag_s: float, after_s: float, *, now: bool) -> bool:
        return lag_s > (self._settings.back_share * after_s if now else after_s)

    def end(self, segment: SegmentStored | SegmentMissing) -> list[Told]:
        """Return what is to be told when the session has been sensed to its end, `segment`."""
        told: list[Told] = []
        if self._pressed:
            told.append(_lagged(segment, 0.0, over=True))
        if self._on:
            told.append(self._over(segment))
        self._pressed = False
        self._on.clear()
        return told

    def _press(
        self, segment: SegmentStored | SegmentMissing, lag_s: float, now_s: float
    ) -> list[Told]:
        """Tell replays to hold back, again and again while it lasts, and when it is over."""
        was = self._pressed
        self._pressed = self._is_beyond(lag_s, self._settings.pressed_after_s, now=was)
        if not self._pressed:
            return [_lagged(segment, lag_s, over=True)] if was else []
        if was and now_s - self._told_at_s < self._settings.tell_every_s:
            return []
        self._told_at_s = now_s
        return [_lagged(segment, lag_s, over=False)]

    def _over(self, segment: SegmentStored | SegmentMissing) -> ChannelDegraded:
        said = f"the machine could not keep up: {self._account()} left out {self._since}".rstrip()
        self._since = ""
        self._lost.clear()
        self._lost_s = dict.fromkeys(self._after_s, 0.0)
        return _degraded(segment, CAUGHT_UP, said)

    def _account(self) -> str:
        parts = []
        if frames := self._lost["frames"]:
            parts.append("1 frame" if frames == 1 else f"{frames} frames")
        if self._lost["phrases"]:
            parts.append(f"the search for spoken phrases in {self._lost_s['phrases']:.0f} s")
        if self._lost["segments"]:
            parts.append(f"{self._lost_s['segments']:.0f} s as a whole")
        return _listed(parts) or "nothing was"


def _listed(parts: list[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _lagged(segment: SegmentStored | SegmentMissing, lag_s: float, *, over: bool) -> LiveLagged:
    return LiveLagged(
        tenant_id=segment.tenant_id,
        channel_id=segment.channel_id,
        session_id=segment.session_id,
        media_s=segment.end_s,
        lag_s=round(lag_s, 3),
        over=over,
    )


def _degraded(segment: SegmentStored | SegmentMissing, reason: str, detail: str) -> ChannelDegraded:
    return ChannelDegraded(
        tenant_id=segment.tenant_id,
        channel_id=segment.channel_id,
        session_id=segment.session_id,
        media_s=segment.media_s,
        reason=reason,
        detail=detail,
    )
