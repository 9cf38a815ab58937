"""Events made by hand."""

from __future__ import annotations

from bus.events import (
    ChatWindow,
    Event,
    LoudnessMeasured,
    MomentDetected,
    MomentsSettled,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)

WHO = {"tenant_id": "t", "channel_id": "c", "session_id": "s"}
SEGMENT_S = 2.0


def started(*, clips_max: int | None = None, has_chat: bool = False) -> SessionStarted:
    kind = "live" if clips_max is None else "vod"
    return SessionStarted(
        **WHO, kind=kind, title="", source="", has_chat=has_chat, clips_max=clips_max
    )


def moment(
    peak_s: float,
    *,
    kind: str = "clip_command",
    score: float = 0.8,
    before_s: float = 3.0,
    after_s: float = 2.0,
    decided_s: float | None = None,
) -> MomentDetected:
    return MomentDetected(
        **WHO,
        kind=kind,
        start_s=peak_s - before_s,
        peak_s=peak_s,
        end_s=peak_s + after_s,
        decided_s=peak_s if decided_s is None else decided_s,
        score=score,
    )


def segment(seq: int) -> SegmentStored:
    return SegmentStored(
        **WHO,
        epoch=0,
        seq=seq,
        disc=0,
        media_s=seq * SEGMENT_S,
        duration_s=SEGMENT_S,
        container="ts",
        object_key=f"k{seq}",
    )


def loudness(
    seq: int, rms_db: float = -30.0, voice: tuple[int, ...] = (0,) * 20
) -> LoudnessMeasured:
    return LoudnessMeasured(
        **WHO,
        epoch=0,
        seq=seq,
        media_s=seq * SEGMENT_S,
        duration_s=SEGMENT_S,
        rms_db=(rms_db,) * 20,
        voice=voice,
    )


def chat(second: int, messages: int = 1) -> ChatWindow:
    return ChatWindow(**WHO, media_s=float(second), messages=messages)


def settled(media_s: float, *, final: bool = False) -> MomentsSettled:
    return MomentsSettled(**WHO, media_s=media_s, final=final)


def ended(media_s: float, chat_until_s: float = 0.0) -> SessionEnded:
    return SessionEnded(
        **WHO,
        media_s=media_s,
        chat_until_s=chat_until_s,
        stored_s=media_s,
        missing_s=0.0,
        reason="ended",
    )


def whole(
    seconds: int, moments: list[MomentDetected], *, has_chat: bool = False
) -> list[list[Event]]:
    """Return a session's events by topic, each topic in order."""
    count = round(seconds / SEGMENT_S)
    told: list[Event] = []
    left = sorted(moments, key=lambda each: each.decided_s)
    for seq in range(count):
        while left and left[0].decided_s <= (seq + 1) * SEGMENT_S:
            told.append(left.pop(0))
        told.append(settled((seq + 1) * SEGMENT_S))
    told += [*left, settled(float(seconds), final=True)]
    return [
        [segment(seq) for seq in range(count)],
        [loudness(seq) for seq in range(count)],
        [chat(second) for second in range(seconds)] if has_chat else [],
        told,
        [ended(float(seconds), float(seconds) if has_chat else 0.0)],
    ]
