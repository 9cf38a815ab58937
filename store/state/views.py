"""What pages show: plain values, detached from the database. Times are media time in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionView:
    """A session with what has come of it so far."""

    id: str
    channel_id: str
    kind: str | None
    """`live`, `vod`, `file`; None until its start has been recorded."""
    title: str
    source: str
    status: str
    """`live`, `ended`, `stopped`, `lost`."""
    started_at_s: float | None
    """Unix time, like `heard_at_s`: when its latest event was published."""
    heard_at_s: float
    duration_s: float | None
    has_chat: bool
    clips_max: int | None
    """The best so many of the whole are wanted; None: clip as it goes."""
    reaction_s: float | None
    """How long chat takes to answer; None while that is assumed."""
    reaction_samples: int
    """Answers of this session behind it; zero: known from sessions before."""
    media_s: float
    """Where the media clock stands."""
    settled_s: float
    """Up to where the detectors have decided."""
    settled: bool
    stored_s: float
    missing_s: Mapping[str, float]
    """Seconds that are missing, by reason."""
    minutes_claimed: int
    clips_total: int | None
    """How many clips there will be; None while more may be planned."""
    moments: int
    clips: int
    clips_open: int
    """Clips that are planned and neither cut nor failed."""
    renders_open: int
    clips_ready: int
    """Clips with at least one finished output."""

    @property
    def lag_s(self) -> float:
        """How many media seconds the detectors are behind."""
        return 0.0 if self.settled else max(0.0, self.media_s - self.settled_s)

    @property
    def done(self) -> bool:
        """Nothing more will come: it has ended, and each of its clips is made or has failed."""
        return (
            self.status != "live"
            and self.settled
            and self.clips_total is not None
            and self.clips >= self.clips_total
            and self.clips_open == 0
            and self.renders_open == 0
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentView:
    """What a detector saw, and what became of it."""

    id: str
    kind: str
    start_s: float
    peak_s: float
    end_s: float
    decided_s: float
    score: float
    evidence: Mapping[str, Any]
    status: str
    """`detected`, `passed`, `taken`."""
    reason: str
    clip_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderView:
    """One output of a clip."""

    id: str
    clip_id: str
    layout: str
    status: str
    """`queued`, `rendering`, `failed`, `finished`."""
    percent: int
    output_key: str | None
    thumbnail_key: str | None
    captions_key: str | None
    width: int
    height: int
    duration_s: float
    size_bytes: int
    loudness_lufs: float | None
    notes: Sequence[str]
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipView:
    """A clip with its outputs."""

    id: str
    session_id: str
    status: str
    """`planned`, `failed`, `cut`."""
    start_s: float
    peak_s: float
    end_s: float
    score: float
    kinds: Sequence[str]
    evidence: Sequence[Mapping[str, Any]]
    title: str
    source_key: str | None
    gap_s: float
    reason: str
    detail: str
    renders: Sequence[RenderView]
    twitch_status: str = ""
    """Of the same clip on Twitch: empty, `failed`, `made`."""
    twitch_url: str = ""
    twitch_reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class GapView:
    """A span without media, and why."""

    start_s: float
    end_s: float
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TroubleView:
    """Something made the session worse than it should be."""

    media_s: float
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionDetail:
    """All that a session's page shows."""

    session: SessionView
    moments: Sequence[MomentView]
    clips: Sequence[ClipView]
    gaps: Sequence[GapView]
    troubles: Sequence[TroubleView]
    curves: Mapping[str, Sequence[float | None]]
    """`chat` (messages) and `loudness` (dBFS): one value for each second from zero."""
