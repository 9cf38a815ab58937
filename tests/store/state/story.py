"""One session's events, as the rooms would tell them."""

from __future__ import annotations

from typing import Any

from bus import events as ev
from bus.ports import Record


def ids(tenant_id: str = "acme", session_id: str = "s1") -> dict[str, Any]:
    """Return what all events of a session share."""
    return {"tenant_id": tenant_id, "channel_id": "ch1", "session_id": session_id}


def moment(peak_s: float, kind: str = "chat_spike", **more: Any) -> ev.MomentDetected:
    """Return a moment around its peak."""
    return ev.MomentDetected(
        **ids(**more),
        kind=kind,
        start_s=peak_s - 5,
        peak_s=peak_s,
        end_s=peak_s + 5,
        decided_s=peak_s + 8,
        score=0.75,
        evidence={"ratio": 8.0, "sample": "<script>alert(1)</script>"},
    )


def story(tenant_id: str = "acme", session_id: str = "s1") -> list[ev.Event]:
    """Return a whole session: two minutes of media with an ad, four moments, two clips."""
    who = {"tenant_id": tenant_id, "session_id": session_id}
    own = ids(**who)
    clip, lost = f"{session_id}-clip-1", f"{session_id}-clip-2"
    taken, passed, other = moment(30, **who), moment(60, **who), moment(90, **who)
    joined = moment(34, "excitement", **who)
    return [
        ev.SessionStarted(
            **own, kind="live", title="Ranked", source="https://example.test/a.m3u8",
            has_chat=True, started_at_s=1_000.0,
        ),
        *(
            ev.SegmentStored(
                **own, epoch=0, seq=n, disc=0, media_s=n * 4.0, duration_s=4.0, container="ts"
            )
            for n in range(30)
            if n not in (5, 6)
        ),
        *(
            ev.SegmentMissing(
                **own, epoch=0, seq=n, media_s=n * 4.0, duration_s=4.0, reason="ad"
            )
            for n in (5, 6)
        ),
        ev.ChannelDegraded(**own, media_s=21.0, reason="stalled", detail="no new segment"),
        *(ev.ChatWindow(**own, media_s=float(n), messages=n % 7) for n in range(0, 120, 3)),
        ev.ChatWindow(**own, media_s=100.5 // 1 + 1, gap=True),
        ev.LoudnessMeasured(
            **own, epoch=0, seq=1, media_s=4.0, duration_s=4.0, rms_db=tuple([-30.0] * 39 + [-3.0])
        ),
        ev.LoudnessMeasured(**own, epoch=0, seq=5, media_s=20.0, duration_s=4.0, gap=True),
        taken,
        passed,
        other,
        joined,
        *(
            ev.ReactionLearned(
                **own, media_s=at_s, delay_s=delay_s, usual_s=5.0, spread_s=1.0, samples=samples
            )
            for at_s, delay_s, samples in ((0.0, 6.0, 0), (50.0, 8.4, 9), (70.0, 7.9, 23))
        ),
        ev.MomentsSettled(**own, media_s=80.0),
        ev.MomentPassed(
            **own, moment_id=passed.event_id, media_s=60.0, reason="cooldown: 12 s after a clip"
        ),
        ev.ClipPlanned(
            **own, clip_id=clip, start_s=20.0, peak_s=30.0, end_s=40.0, score=0.8,
            kinds=("chat_spike",), moment_ids=(taken.event_id,),
            evidence=({"kind": "chat_spike", "ratio": 8.0},), title="Planned title",
        ),
        ev.ClipCut(
            **own, clip_id=clip, source_key=f"tenant/{tenant_id}/clips/{clip}/source.mp4",
            in_s=1.5, out_s=21.5, start_s=20.01, peak_s=30.0, end_s=40.01, gap_s=0.5,
            width=1920, height=1080, fps=60.0, has_audio=True, title="Cut title",
        ),
        ev.ClipPlanned(
            **own, clip_id=lost, start_s=80.0, peak_s=90.0, end_s=100.0, score=0.5,
            kinds=("chat_spike",), moment_ids=(other.event_id,),
        ),
        ev.MomentJoined(
            **own, moment_id=joined.event_id, clip_id=clip, media_s=34.0
        ),
        ev.ClipFailed(**own, clip_id=lost, reason="source_gone", detail="404"),
        ev.RenderQueued(
            **own, render_id=f"{clip}-v", clip_id=clip, layout="vertical_blur",
            source_key="k", in_s=1.5, out_s=21.5,
        ),
        ev.RenderProgressed(**own, render_id=f"{clip}-v", clip_id=clip, percent=40),
        ev.RenderFinished(
            **own, render_id=f"{clip}-v", clip_id=clip, layout="vertical_blur",
            output_key=f"tenant/{tenant_id}/renders/{clip}/v/vertical.mp4",
            thumbnail_key=f"tenant/{tenant_id}/renders/{clip}/v/thumbnail.jpg",
            width=1080, height=1920, duration_s=20.0, size_bytes=5_000_000,
            loudness_lufs=-14.0, notes=("no words, so no captions",),
        ),
        ev.RenderQueued(
            **own, render_id=f"{clip}-l", clip_id=clip, layout="landscape",
            source_key="k", in_s=1.5, out_s=21.5,
        ),
        ev.RenderProgressed(**own, render_id=f"{clip}-l", clip_id=clip, percent=70),
        ev.MinuteWatched(**own, minute=0, media_s=68.0),
        ev.MomentsSettled(**own, media_s=120.0, final=True),
        ev.SessionClipped(**own, clips=2),
        ev.SessionEnded(
            **own, media_s=120.0, chat_until_s=120.0, stored_s=112.0, missing_s=8.0,
            reason="ended",
        ),
    ]  # fmt: skip


def records(events: list[ev.Event]) -> list[Record]:
    """Return the events as one partition would carry them, published a second apart."""
    return [
        Record(topic=one.TOPIC, partition=0, offset=n, published_at_s=5_000.0 + n, event=one)
        for n, one in enumerate(events)
    ]
