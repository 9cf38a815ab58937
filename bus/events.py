"""The facts and commands that rooms exchange.

Law: an event is frozen, its id follows from its identity alone, and a released field is never
renamed or removed. A fact that is published twice therefore carries the same id twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

_NAMESPACE = uuid.UUID("6f1d7c34-2b0f-5e7a-9d53-1c7c1f6f2a10")

Evidence = Mapping[str, str | int | float]
SessionKind = Literal["live", "vod", "file"]
MissingReason = Literal["ad", "missing", "late", "corrupt", "outage", "muted"]
Container = Literal["ts", "fmp4", "matroska"]


def stable_id(*parts: object) -> str:
    """Return the UUID (version 5) that names the fact made of these parts."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(str(part) for part in parts)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What all events share. `event_id` is filled from IDENTITY when it is left empty."""

    TYPE: ClassVar[str] = ""
    """CloudEvents type with its schema version, such as `clipthat.segment.stored.v1`."""
    TOPIC: ClassVar[str] = ""
    KEY: ClassVar[str] = "channel_id"
    """Name of the field whose value orders the event among others of its topic."""
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id",)
    """The fields that make this fact one fact."""

    tenant_id: str
    channel_id: str
    session_id: str
    event_id: str = ""

    def __post_init__(self) -> None:
        if not self.event_id:
            parts = [getattr(self, name) for name in self.IDENTITY]
            object.__setattr__(self, "event_id", stable_id(self.TYPE, *parts))

    @property
    def key(self) -> str:
        """The value that orders this event among others of its topic."""
        return str(getattr(self, self.KEY))


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRef:
    """Where a segment's media can be read again after the ring has let it go.

    `hls`: `uri` is the segment's own URL, `offset`/`length` its byte range, `init_*` its
    EXT-X-MAP, `key_uri`/`iv_hex` its AES-128 key. `file`: `uri` is an absolute path and
    `start_s`/`end_s` the span in the file's own timeline, whose zero is the file's first
    presentation timestamp over all streams.
    """

    kind: Literal["hls", "file"]
    uri: str
    offset: int | None = None
    length: int | None = None
    init_uri: str | None = None
    init_offset: int | None = None
    init_length: int | None = None
    key_uri: str | None = None
    iv_hex: str | None = None
    start_s: float | None = None
    end_s: float | None = None


# --- sessions ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionStarted(Event):
    """A broadcast, a VOD or a file is being watched; its media clock stands at zero."""

    TYPE: ClassVar[str] = "clipthat.session.started.v1"
    TOPIC: ClassVar[str] = "sessions"

    kind: SessionKind
    title: str
    source: str
    wall_start_s: float | None = None
    """Unix time of media second zero, when it is known."""
    duration_s: float | None = None
    """Length of a VOD or file; None while live."""
    has_chat: bool = False
    """ChatWindow events will cover the whole session."""
    words_key: str | None = None
    """Words of a subtitle file: object, JSON array of {text, start_s, end_s}, in the time of the
    whole: media time and `vod_start_s`."""
    clips_max: int | None = None
    """The best N of the whole session are wanted (VOD); None: clip as it goes (live)."""
    started_at_s: float = 0.0
    broadcast_id: str = ""
    """The platform's name for the live broadcast; empty when it has none."""
    reaction_s: float | None = None
    """How long chat took to answer at the end of the channel's session before; None: unknown."""
    vod_start_s: float = 0.0
    """Where media second zero stands in the VOD or file, when only a part of it is watched; chat
    and words of the whole are shifted by it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionEnded(Event):
    """No more media or chat will come for this session."""

    TYPE: ClassVar[str] = "clipthat.session.ended.v1"
    TOPIC: ClassVar[str] = "sessions"

    media_s: float
    """End of the last segment, stored or missing; every one has been published before."""
    chat_until_s: float
    """End of the last ChatWindow; zero without chat."""
    stored_s: float
    """Media seconds really stored."""
    missing_s: float
    reason: Literal["ended", "stopped", "lost"]
    """`ended` by the source, `stopped` by a person, `lost` when the origin did not come back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelDegraded(Event):
    """Something makes this session worse than it should be, and a person can know why."""

    TYPE: ClassVar[str] = "clipthat.channel.degraded.v1"
    TOPIC: ClassVar[str] = "sessions"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "reason", "media_s")

    media_s: float
    reason: str
    """A short stable word: `stalled`, `audio_only`, `no_audio`, `encrypted`, `chat_lost`, ..."""
    detail: str = ""


# --- segments ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentStored(Event):
    """A whole segment lies in the ring (or in its source, when `object_key` is None)."""

    TYPE: ClassVar[str] = "clipthat.segment.stored.v1"
    TOPIC: ClassVar[str] = "segments"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "epoch", "seq")

    epoch: int
    """Counts restarts of the media sequence within the session."""
    seq: int
    disc: int
    """Counts discontinuities; timestamps and parameters are continuous within one."""
    media_s: float
    """Media time of the segment's first presentation timestamp."""
    duration_s: float
    pts_s: float | None = None
    """That first timestamp as the container tells it, 33-bit wraps unwrapped within `disc`."""
    pdt_s: float | None = None
    """PROGRAM-DATE-TIME as Unix time."""
    container: Container
    object_key: str | None = None
    init_key: str | None = None
    """Object with the initialisation section that stands before an fMP4 segment."""
    size_bytes: int = 0
    sense_only: bool = False
    """The object holds the audio and a few key frames only; a cut reads `source_ref`."""
    source_ref: SourceRef | None = None
    muted: bool = False
    """The platform has taken the sound off: its silence means nothing."""

    @property
    def end_s(self) -> float:
        """Media time at which the segment ends."""
        return self.media_s + self.duration_s


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentMissing(Event):
    """A span of media time has no segment, and why."""

    TYPE: ClassVar[str] = "clipthat.segment.missing.v1"
    TOPIC: ClassVar[str] = "segments"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "epoch", "seq")

    epoch: int
    seq: int
    media_s: float
    duration_s: float
    reason: MissingReason
    detail: str = ""

    @property
    def end_s(self) -> float:
        """Media time at which the gap ends."""
        return self.media_s + self.duration_s


# --- chat -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipCommand:
    """A viewer typed something like `clip that`."""

    user: str
    """Hash of the user, stable within the session."""
    text: str
    role: Literal["viewer", "subscriber", "vip", "moderator", "broadcaster"] = "viewer"
    at_s: float
    """Media time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatWindow(Event):
    """One second of chat, by sent time; an empty second is told as well."""

    TYPE: ClassVar[str] = "clipthat.chat.window.v1"
    TOPIC: ClassVar[str] = "chat"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "media_s")

    media_s: float
    """Start of the window: a whole second."""
    duration_s: float = 1.0
    messages: int = 0
    """Lines counted after the per-user cap (2 in 5 s)."""
    lines: int = 0
    """All lines, capped users included."""
    chatters: int = 0
    """Distinct users."""
    words: int = 0
    chars: int = 0
    emotes: int = 0
    """Tokens that are emotes, by tag or by look, and emoji."""
    shouts: int = 0
    """Lines in capitals, or of laughter and awe: `LUL`, `OMG`, `wtf`, `pog`, `!!!`."""
    echoes: int = 0
    """Lines that repeat one of the last few seconds: everybody says the same thing."""
    commands: tuple[ClipCommand, ...] = ()
    samples: tuple[str, ...] = ()
    """At most three lines, stripped of links and control characters, 80 characters each."""
    gap: bool = False
    """The reader was not connected for this second: its silence means nothing."""


# --- features ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class LoudnessMeasured(Event):
    """Loudness and voice of one segment; exactly one for each stored or missing segment."""

    TYPE: ClassVar[str] = "clipthat.features.loudness.v1"
    TOPIC: ClassVar[str] = "features"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "epoch", "seq")

    epoch: int
    seq: int
    media_s: float
    duration_s: float
    hop_s: float = 0.1
    rms_db: tuple[float, ...] = ()
    """dBFS of each hop, -90.0 at the least, one decimal."""
    voice: tuple[int, ...] = ()
    """Share of each hop that is voice, 0 to 100."""
    gap: bool = False
    """There is nothing to measure here (missing segment, no audio): not the same as silence."""

    @property
    def end_s(self) -> float:
        """Media time up to which features are complete."""
        return self.media_s + self.duration_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A spoken word on the media clock."""

    text: str
    start_s: float
    end_s: float
    confidence: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechHeard(Event):
    """Words of one segment, from a recogniser, the phrase spotter or a subtitle file."""

    TYPE: ClassVar[str] = "clipthat.features.speech.v1"
    TOPIC: ClassVar[str] = "features"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "epoch", "seq", "engine")

    epoch: int
    seq: int
    media_s: float
    duration_s: float
    words: tuple[Word, ...]
    engine: Literal["phrase_spotter", "subtitles", "whisper"]
    """`phrase_spotter` knows the trigger phrase only; its words are never captions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameDescribed(Event):
    """One frame of the picture, kept as a thumbnail."""

    TYPE: ClassVar[str] = "clipthat.features.frame.v1"
    TOPIC: ClassVar[str] = "features"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "media_s")

    media_s: float
    frame_key: str
    """Object: JPEG, at most 640 pixels wide."""
    width: int
    height: int
    picture_hash: str = ""
    """64-bit difference hash, hexadecimal."""
    description: str = ""
    """Empty until a vision model has looked."""


# --- moments ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentDetected(Event):
    """A detector holds that something happened."""

    TYPE: ClassVar[str] = "clipthat.moment.detected.v1"
    TOPIC: ClassVar[str] = "moments"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "kind", "peak_s")

    kind: str
    """The detector's name: `chat_spike`, `clip_command`, `spoken_phrase`, `excitement`."""
    start_s: float
    peak_s: float
    """Media time of what happened, reaction lag taken off."""
    end_s: float
    decided_s: float
    """Media time that the detector had seen when it decided."""
    score: float
    """0 to 1."""
    evidence: Evidence = field(default_factory=dict)

    @property
    def media_s(self) -> float:
        """Where the moment stands on the media clock."""
        return self.peak_s


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentsSettled(Event):
    """Every detector has seen all media and chat before `media_s` and has decided on it."""

    TYPE: ClassVar[str] = "clipthat.moment.settled.v1"
    TOPIC: ClassVar[str] = "moments"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "media_s", "final")

    media_s: float
    final: bool = False
    """The session has ended and the detectors are flushed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveLagged(Event):
    """Features of a live session come late, for want of processors; replays should hold back.

    Told again and again while it lasts. It stands among the moments, because that is where a
    replay reads how far its readers have come.
    """

    TYPE: ClassVar[str] = "clipthat.live.lagged.v1"
    TOPIC: ClassVar[str] = "moments"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "media_s", "over")

    media_s: float
    lag_s: float
    """From a segment's being stored to its being opened."""
    over: bool = False
    """It has caught up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReactionLearned(Event):
    """How long this channel's chat takes to answer; holds for what is fed after it.

    It stands among the moments, because it must never be overtaken by the moments that it shifts,
    and recordings of features hold what detectors were given only: they learn it again.
    """

    TYPE: ClassVar[str] = "clipthat.reaction.learned.v1"
    TOPIC: ClassVar[str] = "moments"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "media_s")

    media_s: float
    """Media time of the chat that it was learned from last; zero: known from earlier sessions."""
    delay_s: float
    """From a sharp event to the middle of chat's answer."""
    usual_s: float
    """The delay that detectors' own lags are made for: they add `delay_s − usual_s`."""
    spread_s: float
    """Standard deviation of the answers that agree."""
    samples: int
    """Answers of this session that were looked at; zero: none yet."""


# --- clips ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentPassed(Event):
    """The ranker does not take a moment, and why."""

    TYPE: ClassVar[str] = "clipthat.moment.passed.v1"
    TOPIC: ClassVar[str] = "clips"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "moment_id")

    moment_id: str
    media_s: float
    reason: str
    """A sentence for a person: `cooldown: 12 s after the last clip`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentJoined(Event):
    """A moment tells of what a clip shows already: it is one more reason for that clip."""

    TYPE: ClassVar[str] = "clipthat.moment.joined.v1"
    TOPIC: ClassVar[str] = "clips"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "moment_id")

    moment_id: str
    clip_id: str
    """The clip may be told before or after this."""
    media_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipPlanned(Event):
    """A clip will be cut: its window is fixed."""

    TYPE: ClassVar[str] = "clipthat.clip.planned.v1"
    TOPIC: ClassVar[str] = "clips"
    IDENTITY: ClassVar[tuple[str, ...]] = ("clip_id",)

    clip_id: str
    start_s: float
    peak_s: float
    end_s: float
    score: float
    kinds: tuple[str, ...]
    moment_ids: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()
    """One mapping for each moment, with its `kind`; MomentJoined may add moments later."""
    title: str = ""

    @property
    def media_s(self) -> float:
        """Where the clip stands on the media clock."""
        return self.peak_s


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipCut(Event):
    """The source cut lies in the object store, whole, playable, in H.264/AAC or as it came."""

    TYPE: ClassVar[str] = "clipthat.clip.cut.v1"
    TOPIC: ClassVar[str] = "clips"
    IDENTITY: ClassVar[tuple[str, ...]] = ("clip_id",)

    clip_id: str
    source_key: str
    """MP4 of whole groups of pictures, copied wherever that is possible."""
    in_s: float
    """Exact start of the clip in the source cut's own presentation timeline."""
    out_s: float
    """Exact end: the first instant that no longer belongs to the clip."""
    start_s: float
    """The clip on the media clock; ClipPlanned's window within one frame."""
    peak_s: float
    end_s: float
    gap_s: float
    width: int
    height: int
    """Zero when the source has no picture."""
    fps: float
    has_audio: bool
    title: str
    words_key: str | None = None
    """JSON array of {text, start_s, end_s, confidence}; zero is the clip's exact start."""
    muted_s: float = 0.0
    """Seconds of the clip whose sound the platform has taken off."""
    replay: bool = False
    """Of a VOD or a file, which nobody is waiting for second by second: live ones go first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFailed(Event):
    """A planned clip could not be cut, and why."""

    TYPE: ClassVar[str] = "clipthat.clip.failed.v1"
    TOPIC: ClassVar[str] = "clips"
    IDENTITY: ClassVar[tuple[str, ...]] = ("clip_id",)

    clip_id: str
    reason: str
    """A short stable word: `gap`, `source_gone`, `undecodable`, `too_short`, ..."""
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeClipMade(Event):
    """The platform has the same moment as a clip of its own, and shows it."""

    TYPE: ClassVar[str] = "clipthat.clip.native_made.v1"
    TOPIC: ClassVar[str] = "clips"
    IDENTITY: ClassVar[tuple[str, ...]] = ("clip_id",)

    clip_id: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeClipFailed(Event):
    """The platform has made no clip of its own, and why."""

    TYPE: ClassVar[str] = "clipthat.clip.native_failed.v1"
    TOPIC: ClassVar[str] = "clips"
    IDENTITY: ClassVar[tuple[str, ...]] = ("clip_id",)

    clip_id: str
    reason: str
    """A short stable word: `late`, `offline`, `refused`, `reconnect`, `scope`, `busy`,
    `not_there`, `unavailable`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionClipped(Event):
    """Every clip that this session will ever have has been planned."""

    TYPE: ClassVar[str] = "clipthat.session.clipped.v1"
    TOPIC: ClassVar[str] = "clips"

    clips: int


# --- renders ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderQueued(Event):
    """Make this finished output."""

    TYPE: ClassVar[str] = "clipthat.render.queued.v1"
    TOPIC: ClassVar[str] = "renders"
    KEY: ClassVar[str] = "clip_id"
    IDENTITY: ClassVar[tuple[str, ...]] = ("render_id",)

    render_id: str
    """Follows from the clip and everything that shapes the output."""
    clip_id: str
    layout: str
    """`vertical_blur`, `vertical_crop`, `landscape`."""
    source_key: str
    in_s: float
    out_s: float
    title: str = ""
    words_key: str | None = None
    replay: bool = False
    """As the clip's: renders of live sessions go first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderProgressed(Event):
    """A render has come this far."""

    TYPE: ClassVar[str] = "clipthat.render.progressed.v1"
    TOPIC: ClassVar[str] = "renders"
    KEY: ClassVar[str] = "clip_id"
    IDENTITY: ClassVar[tuple[str, ...]] = ("render_id", "percent")

    render_id: str
    clip_id: str
    percent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderFinished(Event):
    """A finished output is visible, whole."""

    TYPE: ClassVar[str] = "clipthat.render.finished.v1"
    TOPIC: ClassVar[str] = "renders"
    KEY: ClassVar[str] = "clip_id"
    IDENTITY: ClassVar[tuple[str, ...]] = ("render_id",)

    render_id: str
    clip_id: str
    layout: str
    output_key: str
    thumbnail_key: str | None = None
    captions_key: str | None = None
    """WebVTT of the words that the output shows."""
    width: int
    height: int
    duration_s: float
    size_bytes: int
    loudness_lufs: float | None = None
    notes: tuple[str, ...] = ()
    """What the viewer of this output should know: `no words, so no captions`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderFailed(Event):
    """An output could not be made, and why."""

    TYPE: ClassVar[str] = "clipthat.render.failed.v1"
    TOPIC: ClassVar[str] = "renders"
    KEY: ClassVar[str] = "clip_id"
    IDENTITY: ClassVar[tuple[str, ...]] = ("render_id",)

    render_id: str
    clip_id: str
    layout: str
    reason: str
    detail: str = ""


# --- usage ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class MinuteWatched(Event):
    """Another sixty distinct media seconds of this session have really been stored."""

    TYPE: ClassVar[str] = "clipthat.usage.minute.v1"
    TOPIC: ClassVar[str] = "usage"
    IDENTITY: ClassVar[tuple[str, ...]] = ("session_id", "minute")

    minute: int
    """Zero-based count within the session, not a clock minute."""
    media_s: float
    """Media time at which the minute was full."""


EVENTS: tuple[type[Event], ...] = (
    SessionStarted,
    SessionEnded,
    ChannelDegraded,
    SegmentStored,
    SegmentMissing,
    ChatWindow,
    LoudnessMeasured,
    SpeechHeard,
    FrameDescribed,
    MomentDetected,
    MomentsSettled,
    LiveLagged,
    ReactionLearned,
    MomentPassed,
    MomentJoined,
    ClipPlanned,
    ClipCut,
    ClipFailed,
    NativeClipMade,
    NativeClipFailed,
    SessionClipped,
    RenderQueued,
    RenderProgressed,
    RenderFinished,
    RenderFailed,
    MinuteWatched,
)
