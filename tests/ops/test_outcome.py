"""A session's outcome is the same in whatever order its events arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.events import (
    ClipCut,
    ClipFailed,
    ClipPlanned,
    Event,
    MomentDetected,
    MomentJoined,
    MomentPassed,
    NativeClipFailed,
    NativeClipMade,
    RenderFailed,
    RenderFinished,
    RenderQueued,
    SegmentMissing,
    SegmentStored,
    SessionClipped,
    SessionEnded,
    SessionStarted,
)
from ops.export import clip_row
from ops.outcome import SessionOutcome

WHO = {"tenant_id": "t", "channel_id": "c", "session_id": "s"}
LAYOUTS = ("vertical_blur", "landscape")


def planned(clip_id: str, start_s: float) -> ClipPlanned:
    return ClipPlanned(
        **WHO,
        clip_id=clip_id,
        start_s=start_s,
        peak_s=start_s + 5,
        end_s=start_s + 20,
        score=0.5,
        kinds=("chat_spike",),
        moment_ids=("m",),
    )


def cut(clip_id: str) -> ClipCut:
    return ClipCut(
        **WHO,
        clip_id=clip_id,
        source_key="k",
        in_s=0,
        out_s=20,
        start_s=1,
        peak_s=5,
        end_s=21,
        gap_s=0,
        width=1920,
        height=1080,
        fps=60,
        has_audio=True,
        title="",
    )


def finished(clip_id: str, layout: str) -> RenderFinished:
    return RenderFinished(
        **WHO,
        render_id=f"{clip_id}-{layout}",
        clip_id=clip_id,
        layout=layout,
        output_key="o",
        width=1080,
        height=1920,
        duration_s=20,
        size_bytes=1,
    )


LATE = MomentDetected(
    **WHO,
    kind="excitement",
    start_s=1,
    peak_s=6,
    end_s=8,
    decided_s=30,
    score=0.5,
    evidence={"rise_db": 9.0},
)

EVENTS: list[Event] = [
    SessionStarted(**WHO, kind="file", title="v", source="v.mp4", duration_s=60),
    SegmentStored(**WHO, epoch=0, seq=0, disc=0, media_s=0, duration_s=10, container="ts"),
    SegmentMissing(**WHO, epoch=0, seq=1, media_s=10, duration_s=4, reason="ad"),
    SegmentMissing(**WHO, epoch=0, seq=2, media_s=14, duration_s=2, reason="ad"),
    MomentPassed(**WHO, moment_id="other", media_s=3, reason="cooldown"),
    LATE,
    MomentJoined(**WHO, moment_id=LATE.event_id, clip_id="a", media_s=6),
    planned("a", 1),
    cut("a"),
    RenderQueued(
        **WHO,
        render_id="a-vertical_blur",
        clip_id="a",
        layout="vertical_blur",
        source_key="k",
        in_s=0,
        out_s=1,
    ),
    finished("a", "vertical_blur"),
    RenderFailed(
        **WHO, render_id="a-landscape", clip_id="a", layout="landscape", reason="r", detail="d"
    ),
    planned("b", 30),
    ClipFailed(**WHO, clip_id="b", reason="gap"),
    SessionClipped(**WHO, clips=2),
    SessionEnded(**WHO, media_s=60, chat_until_s=0, stored_s=54, missing_s=6, reason="ended"),
]


def fold(events: list[Event]) -> SessionOutcome:
    outcome = SessionOutcome("s", LAYOUTS)
    for event in events:
        outcome.feed(event)
    return outcome


@given(st.permutations(EVENTS), st.lists(st.sampled_from(EVENTS), max_size=6))
def test_order_and_repetition_change_nothing(events: list[Event], again: list[Event]) -> None:
    outcome = fold([*events, *again])
    assert outcome.phase == "done"
    assert outcome.missing == {"ad": 6.0}
    assert outcome.segments == 1
    assert [clip.clip_id for clip in outcome.planned] == ["a", "b"]
    assert outcome.render_share == 0.5 or outcome.render_share == 1.0
    assert set(outcome.clips["a"].renders) == {"vertical_blur"}
    plan = outcome.clips["a"].planned
    assert plan is not None
    assert outcome.kinds_of(plan) == ["chat_spike", "excitement"]
    assert outcome.evidence_of(plan) == [{"kind": "excitement", "rise_db": 9.0}]
    assert outcome.taken()[LATE.event_id] == "a"


def test_phases_follow_the_session() -> None:
    outcome = SessionOutcome("s", LAYOUTS)
    phases = [outcome.phase]
    for event in (
        EVENTS[0],
        EVENTS[-1],
        EVENTS[-2],
        planned("a", 1),
        cut("a"),
        planned("b", 30),
        ClipFailed(**WHO, clip_id="b", reason="gap"),
        finished("a", "vertical_blur"),
        finished("a", "landscape"),
    ):
        outcome.feed(event)
        phases.append(outcome.phase)
    assert phases == [
        "starting",
        "watching",
        "clipping",
        "rendering",
        "clipping",
        "rendering",
        "clipping",
        "rendering",
        "rendering",
        "done",
    ]


def test_a_clip_on_twitch_is_named_once_it_is_there() -> None:
    outcome = SessionOutcome("s", LAYOUTS)
    for event in (planned("a", 1), cut("a")):
        outcome.feed(event)
    assert clip_row(outcome, outcome.planned[0], {})["twitch_url"] is None
    outcome.feed(NativeClipFailed(**WHO, clip_id="a", reason="not_there"))
    assert clip_row(outcome, outcome.planned[0], {})["twitch_url"] is None
    url = "https://clips.twitch.tv/Some"
    outcome.feed(NativeClipMade(**WHO, clip_id="a", url=url))
    assert clip_row(outcome, outcome.planned[0], {})["twitch_url"] == url


def test_a_session_without_clips_is_done_when_it_is_clipped() -> None:
    outcome = fold([EVENTS[0], EVENTS[-1], SessionClipped(**WHO, clips=0)])
    assert outcome.phase == "done"
    assert outcome.render_share == 1.0
