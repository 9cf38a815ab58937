"""Plans follow from what happened, not from when it was told."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import (
    ClipPlanned,
    Event,
    MomentDetected,
    MomentJoined,
    MomentPassed,
    SegmentMissing,
    SessionClipped,
    SpeechHeard,
    Word,
)
from clipper.registry import make_ranker
from clipper.session import SessionClipper
from clipper.settings import ClipperSettings
from tests.clipper.made import WHO, chat, loudness, moment, started, whole


def clipper(*, clips_max: int | None = None, has_chat: bool = False) -> SessionClipper:
    begun = started(clips_max=clips_max, has_chat=has_chat)
    return SessionClipper(begun, make_ranker("", ClipperSettings(), begun), ClipperSettings())


def told(session: SessionClipper, events: list[Event]) -> list[Event]:
    return [outcome for event in events for outcome in session.feed(event)]


def interleaved(topics: list[list[Event]], seed: int) -> list[Event]:
    """Return the topics' events mixed by chance, each topic still in order."""
    chance = random.Random(seed)
    left = [list(events) for events in topics if events]
    mixed = []
    while left:
        topic = chance.choice(left)
        mixed.append(topic.pop(0))
        left = [events for events in left if events]
    return mixed


def plans(outcomes: list[Event]) -> list[ClipPlanned]:
    return [each for each in outcomes if isinstance(each, ClipPlanned)]


moments_drawn = st.lists(
    st.builds(
        lambda peak, kind, score, late: moment(
            float(peak), kind=kind, score=score, decided_s=peak + late
        ),
        st.integers(5, 235),
        st.sampled_from(["clip_command", "chat_spike", "excitement"]),
        st.floats(0.2, 1),
        st.floats(0, 4),
    ),
    max_size=5,
    unique_by=lambda each: (each.kind, each.peak_s),
)


@given(drawn=moments_drawn, seed=st.integers(), clips_max=st.sampled_from([None, 2]))
@settings(max_examples=30, deadline=None)
def test_order_across_topics_changes_no_plan(
    drawn: list[MomentDetected], seed: int, clips_max: int | None
) -> None:
    topics = whole(240, drawn, has_chat=True)
    in_order = told(clipper(clips_max=clips_max, has_chat=True), interleaved(topics, 0))
    mixed = told(clipper(clips_max=clips_max, has_chat=True), interleaved(topics, seed))
    assert mixed == in_order
    assert isinstance(in_order[-1], SessionClipped)
    assert in_order[-1].clips == len(plans(in_order))


@given(drawn=moments_drawn)
@settings(max_examples=30, deadline=None)
def test_windows_keep_their_limits(drawn: list[MomentDetected]) -> None:
    how = ClipperSettings().window
    for plan in plans(told(clipper(), interleaved(whole(240, drawn), 0))):
        assert 0 <= plan.start_s <= plan.peak_s <= plan.end_s <= 240
        assert how.shortest_s - 0.01 <= plan.end_s - plan.start_s <= how.longest_s + 0.01


def test_live_plan_comes_while_the_stream_runs() -> None:
    session = clipper()
    topics = whole(240, [moment(100.0)])
    for segment, loud in zip(topics[0][:50], topics[1][:50], strict=True):
        session.feed(segment)
        session.feed(loud)
    outcomes = told(session, [e for e in topics[3] if getattr(e, "media_s", 0) <= 100][:51])
    assert plans(outcomes) == []
    rest = [event for at in range(50, 56) for event in (topics[0][at], topics[1][at])]
    assert told(session, rest) == []
    (plan,) = plans(told(session, topics[3][50:56]))
    (order,) = session.take_orders()
    assert order.plan == plan
    assert order.pieces[-1].end_s >= plan.end_s
    assert session.take_orders() == []


def test_reaction_is_waited_for() -> None:
    topics = whole(240, [moment(100.0)])
    calm = plans(told(clipper(), interleaved(topics, 0)))[0]
    topics[1] = [loudness(seq, -12.0 if 50 <= seq < 58 else -30.0) for seq in range(120)]
    excited = plans(told(clipper(), interleaved(topics, 0)))[0]
    assert calm.end_s < 108
    assert 116 <= excited.end_s <= 119
    topics[1] = [loudness(seq, -12.0 if seq >= 50 else -30.0) for seq in range(120)]
    endless = plans(told(clipper(), interleaved(topics, 0)))[0]
    assert endless.end_s == 125


def test_edges_move_to_pauses_in_speech() -> None:
    voice = (100,) * 12 + (0,) * 8
    topics = whole(240, [moment(101.0)])
    topics[1] = [loudness(seq, voice=voice) for seq in range(120)]
    (plan,) = plans(told(clipper(), interleaved(topics, 0)))
    for edge_s in (plan.start_s, plan.end_s):
        assert edge_s % 2.0 >= 1.2


def test_clip_stays_beside_a_gap() -> None:
    topics = whole(240, [moment(100.0)])
    topics[0][42] = SegmentMissing(
        **WHO, epoch=0, seq=42, media_s=84.0, duration_s=2.0, reason="ad"
    )
    (plan,) = plans(told(clipper(), interleaved(topics, 0)))
    assert plan.start_s == 86.0
    assert plan.end_s - plan.start_s >= 15.0


def test_words_of_a_recogniser_come_with_the_order() -> None:
    topics = whole(120, [moment(60.0)])
    spoken = (Word(text="hello", start_s=56.0, end_s=56.4),)
    for engine, words in (
        ("phrase_spotter", (Word(text="clip", start_s=57.0, end_s=57.2),)),
        ("subtitles", spoken),
    ):
        heard = SpeechHeard(
            **WHO, epoch=0, seq=28, media_s=56.0, duration_s=2.0, words=words, engine=engine
        )
        topics[1].insert(28, heard)
    session = clipper()
    told(session, interleaved(topics, 0))
    (order,) = session.take_orders()
    assert order.words == spoken


def test_a_late_moment_joins_the_clip_that_was_planned() -> None:
    late = moment(62.0, kind="chat_spike", decided_s=85.0)
    outcomes = told(clipper(), interleaved(whole(120, [moment(60.0), late]), 0))
    (plan,) = plans(outcomes)
    (joined,) = [each for each in outcomes if isinstance(each, MomentJoined)]
    assert (joined.moment_id, joined.clip_id) == (late.event_id, plan.clip_id)
    assert outcomes.index(plan) < outcomes.index(joined)
    assert plan.kinds == ("clip_command",)


def test_a_recording_without_a_moment_gives_its_liveliest_stretch() -> None:
    topics = whole(22, [])
    (plan,) = plans(told(clipper(clips_max=5), interleaved(topics, 0)))
    assert plan.kinds == ("lively",)
    assert plan.moment_ids == ()
    assert plan.end_s - plan.start_s >= 15
    assert plan.title.startswith("Lively moment at 0:")
    topics[1] = [loudness(seq, -90.0) for seq in range(11)]
    assert plans(told(clipper(clips_max=5), interleaved(topics, 0))) == []
    assert plans(told(clipper(), interleaved(whole(22, []), 0))) == []


def test_passed_moments_are_told_with_a_reason() -> None:
    outcomes = told(clipper(), interleaved(whole(120, [moment(60.0, score=0.1)]), 0))
    (passed,) = [each for each in outcomes if isinstance(each, MomentPassed)]
    assert passed.reason == "score: 0.10 is below 0.50"


def test_title_is_what_chat_repeats() -> None:
    topics = whole(120, [moment(60.0)], has_chat=True)
    for second in (60, 61):
        said = replace(chat(second), samples=("no way he did that https://x.tv/1", "LUL"))
        topics[2][second] = said
    (plan,) = plans(told(clipper(has_chat=True), interleaved(topics, 0)))
    assert plan.title == "no way he did that"
    (plain,) = plans(told(clipper(), interleaved(whole(120, [moment(60.0)]), 0)))
    assert plain.title == "Clip at 1:00"
