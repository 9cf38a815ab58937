"""What can be set about which moments become clips and how they are cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeSettings:
    """When moments are one event, and how good the event is."""

    overlap_min: float = 0.4
    """Moments that share more than this part of the shorter one are one event."""
    peaks_within_s: float = 12.0
    """Moments whose peaks lie this close are one event."""
    span_max_s: float = 30.0
    """Peaks of one event never lie further apart than this."""
    weights: Mapping[str, float] = field(
        default_factory=lambda: {
            "clip_command": 1.0,
            "chat_spike": 1.0,
            "spoken_phrase": 1.0,
            "excitement": 0.85,
        }
    )
    """Trust in each kind of moment, 0 to 1; a kind that is not named counts fully."""
    phrase_alone_weight: float = 0.4
    """Trust in the phrase spotter's `spoken_phrase` when no other kind agrees; 1.0 lets it clip
    alone."""
    agreement_boost: float = 0.15
    """Added to the score for each further kind that agrees."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveRankerSettings:
    """Clips while the stream runs."""

    score_min: float = 0.5
    """Events below this score are not clipped."""
    cooldown_s: float = 60.0
    """Least distance between the peaks of two clips."""
    clips_per_hour: int = 12
    """At most this many clips in any hour of the stream."""
    hold_s: float = 14.0
    """How long after its peak an event waits for other kinds to agree; it never waits longer than
    until the earliest end that its clip could have, so the draft is not delayed."""
    hold_weak_s: float = 30.0
    """How long after its first peak an event below `score_min` waits for more to agree."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BestNSettings:
    """The best clips of a whole recording."""

    clips: int = 10
    """How many, when the session itself does not say."""
    spread_s: float = 120.0
    """Least distance between the peaks of two clips."""
    score_min: float = 0.0
    """Events below this score are not clipped even when there is room."""
    chat_weight: float = 1.0
    """Weight of the whole video's chat curve against the detectors' scores, 0 to 1; 0 leaves the
    curve out."""
    fill: bool = True
    """When moments give fewer clips than are wanted, the liveliest other stretches fill up."""
    fill_per_hour: float = 12.0
    """Filling stops at this many clips for each hour of the recording, moments counted too; one
    clip is always allowed."""
    fill_score_max: float = 0.3
    """A lively stretch never scores higher than this, nor as high as a moment that is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowSettings:
    """Where a clip begins and ends around its peak."""

    before_s: Mapping[str, float] = field(
        default_factory=lambda: {
            "clip_command": 25.0,
            "spoken_phrase": 25.0,
            "chat_spike": 15.0,
            "excitement": 14.0,
        }
    )
    """Seconds before the peak, by kind; where several moments agree, the middle of what they ask
    for counts."""
    after_s: Mapping[str, float] = field(
        default_factory=lambda: {
            "clip_command": 6.0,
            "spoken_phrase": 8.0,
            "chat_spike": 14.0,
            "excitement": 14.0,
        }
    )
    """Seconds after the peak, by kind."""
    before_default_s: float = 15.0
    """Seconds before the peak of a kind that is not named."""
    after_default_s: float = 12.0
    """Seconds after the peak of a kind that is not named."""
    after_max_s: float = 25.0
    """The clip waits for the reaction to end, but not longer than this after the peak."""
    shortest_s: float = 15.0
    """A clip is not shorter than this when the session has the media."""
    ideal_s: float = 25.0
    """A clip that would be shorter begins earlier."""
    longest_s: float = 60.0
    """A clip is never longer than this."""
    snap_s: float = 2.0
    """Start and end move at most this far to reach a pause in speech."""
    pause_s: float = 0.3
    """Silence of this length between words is a pause."""
    calm_s: float = 2.0
    """The reaction has ended when loudness and chat were at their usual level for this long."""
    loud_db: float = 6.0
    """Louder than the usual level by this much: the reaction goes on."""
    chat_factor: float = 2.5
    """Chat faster than usual by this factor: the reaction goes on."""
    usual_s: float = 120.0
    """Stretch before the clip that tells the usual level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CutSettings:
    """How a clip's source cut is made."""

    gap_max_s: float = 0.5
    """A clip that lacks more media than this is refused."""
    at_once: int = 2
    """Clips that are cut side by side."""
    reads_at_once: int = 4
    """Segments of one clip that are read side by side."""
    read_tries: int = 3
    """Times that a segment is asked for before the clip is given up."""
    segment_max_bytes: int = 256 * 1024 * 1024
    """A clip's segments together may not be larger than this."""
    encode_timeout_s: float = 300.0
    """Limit for joining pieces of different size by encoding."""
    encode_crf: int = 18
    """Quality (x264 CRF) of a source cut that has to be encoded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipperSettings:
    """Which moments become clips, and how they are cut."""

    ranker: str = ""
    """Name of the ranking; empty: `live` for a stream, `best_n` when the best N are wanted."""
    keep_s: float = 900.0
    """A live session's timeline is remembered for this long."""
    merge: MergeSettings = field(default_factory=MergeSettings)
    """When moments are one event."""
    live: LiveRankerSettings = field(default_factory=LiveRankerSettings)
    """Clips while the stream runs."""
    best_n: BestNSettings = field(default_factory=BestNSettings)
    """The best clips of a whole recording."""
    window: WindowSettings = field(default_factory=WindowSettings)
    """Where a clip begins and ends."""
    cut: CutSettings = field(default_factory=CutSettings)
    """How a clip is cut."""
