from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import (
    ChatWindow,
    ClipCommand,
    Event,
    LoudnessMeasured,
    MomentDetected,
    ReactionLearned,
)
from detectors.chat_spike import ChatSpike
from detectors.clip_command import ClipCommands
from detectors.host import DetectorHost, Outcome
from detectors.reaction import DelayHistogram, Reaction
from detectors.settings import ChatSpikeSettings, ReactionSettings
from tests.detectors.chats import started, window
from tests.detectors.reactions import answers, in_media_order, sound, times
from tests.detectors.world import ended

USUAL_S = ReactionSettings().usual_s


def learn(events: list[Event], reaction: Reaction | None = None) -> list[ReactionLearned]:
    reaction = reaction or Reaction(started())
    return [told for event in events if (told := reaction.feed(event)) is not None]


def session(
    delay_s: float, *, events: int = 25, others: int = 0, seed: int = 1, **chat: object
) -> list[Event]:
    random = Random(seed)
    happened = times(events, random)
    length_s = happened[-1] + 60.0
    unanswered = [random.uniform(60, length_s) for _ in range(others)]
    return in_media_order(
        sound([*happened, *unanswered], length_s, random),
        answers(happened, length_s, random, lambda _: delay_s, **chat),  # type: ignore[arg-type]
    )


@given(delay_s=st.floats(2.0, 25.0), seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_a_known_delay_is_found(delay_s: float, seed: int) -> None:
    told = learn(session(delay_s, seed=seed))
    assert abs(told[-1].delay_s - delay_s) <= 2.0


@given(delay_s=st.floats(2.0, 25.0), seed=st.integers(0, 2**16))
@settings(max_examples=10, deadline=None)
def test_sounds_that_nobody_answers_do_not_hide_it(delay_s: float, seed: int) -> None:
    told = learn(session(delay_s, events=35, others=35, seed=seed))
    assert abs(told[-1].delay_s - delay_s) <= 2.0


@given(
    pairs=st.lists(st.lists(st.floats(-100.0, 100.0), min_size=1, max_size=8), max_size=60),
    known_s=st.none() | st.floats(-1_000.0, 1_000.0),
)
@settings(max_examples=60, deadline=None)
def test_nothing_leads_out_of_the_bounds(pairs: list[list[float]], known_s: float | None) -> None:
    how = ReactionSettings()
    reaction = Reaction(replace(started(), reaction_s=known_s))
    assert how.delay_min_s <= reaction.delay_s <= how.delay_max_s
    histogram = DelayHistogram(how, reaction.delay_s)
    for at, delays_s in enumerate(pairs):
        histogram.fade(at * 20.0)
        histogram.add(delays_s)
        peak = histogram.peak()
        assert peak is None or how.delay_min_s <= peak.delay_s <= how.delay_max_s


def test_chat_that_has_nothing_to_do_with_the_sound_teaches_nothing() -> None:
    reaction = Reaction(started())
    random = Random(4)
    loud, busy = times(60, random), times(60, random)
    length_s = min(loud[-1], busy[-1])
    events = in_media_order(
        sound(loud, length_s, random), answers(busy, length_s, random, lambda _: 0.0)
    )
    assert learn(events, reaction) == []
    assert reaction.delay_s == USUAL_S


def test_few_answers_teach_nothing() -> None:
    assert learn(session(15.0, events=4)) == []


def test_without_sound_nothing_is_learned() -> None:
    chat = [event for event in session(15.0) if isinstance(event, ChatWindow)]
    assert learn([*chat]) == []


def test_it_is_told_when_it_has_moved_and_seldom() -> None:
    told = learn(session(15.0, events=40))
    assert 1 <= len(told) <= 8
    assert [each.media_s for each in told] == sorted({each.media_s for each in told})
    assert len({each.event_id for each in told}) == len(told)


def test_it_follows_a_channel_that_changes() -> None:
    """A streamer switches to low latency: within three quarters of an hour it is known."""
    random = Random(7)
    happened = times(72, random)
    length_s = happened[-1] + 60.0
    changed_s = happened[36]
    told = learn(
        in_media_order(
            sound(happened, length_s, random),
            answers(happened, length_s, random, lambda at_s: 17.0 if at_s < changed_s else 6.0),
        )
    )
    before = [each for each in told if each.media_s < changed_s]
    assert abs(before[-1].delay_s - 17.0) <= 2.0
    assert abs(told[-1].delay_s - 6.0) <= 2.0


def test_gaps_ads_and_muted_spans_do_not_move_it() -> None:
    random = Random(3)
    happened = times(30, random)
    length_s = happened[-1] + 60.0
    ad = range(300, 315)
    events = in_media_order(
        sound(happened, length_s, random, gaps=set(ad), muted=set(range(500, 560))),
        answers(
            happened,
            length_s,
            random,
            lambda _: 9.0,
            gaps={*range(700, 760), *(2 * seq for seq in ad)},
        ),
    )
    assert abs(learn(events)[-1].delay_s - 9.0) <= 2.0


def test_sound_that_comes_back_is_no_event() -> None:
    """Chat cheers 6 s after each muted span: nothing can be learned from that."""
    random = Random(5)
    back = [400.0 + 100.0 * number for number in range(15)]
    length_s = back[-1] + 80.0
    muted = {int(at / 2) - step for at in back for step in range(1, 4)}
    events = in_media_order(
        sound([at + 0.2 for at in back], length_s, random, muted=muted),
        answers(back, length_s, random, lambda _: 6.0, silent=0.0),
    )
    assert learn(events) == []


def test_a_flood_by_one_user_is_no_answer() -> None:
    """The cap of a user's lines makes a flood a few messages."""
    events: list[Event] = []
    for event in session(9.0, lines=0):
        if isinstance(event, ChatWindow) and 20 < event.media_s % 60 < 30:
            event = replace(event, lines=60, chatters=1)
        events.append(event)
    assert learn(events) == []


def test_clip_commands_teach_as_well() -> None:
    random = Random(9)
    happened = times(20, random)
    length_s = happened[-1] + 60.0
    after_s = 9.0 + ReactionSettings().command_after_s
    asked = {int(at + after_s): at + after_s for at in happened}
    chat = [
        window(
            float(second),
            commands=(ClipCommand(user="u", text="!clip", at_s=asked[second]),)
            if second in asked
            else (),
        )
        for second in range(int(length_s))
    ]
    told = learn(in_media_order(sound(happened, length_s, random), chat))
    assert abs(told[-1].delay_s - 9.0) <= 1.0


def test_what_sessions_before_have_taught_comes_first() -> None:
    known = replace(started(), reaction_s=14.0)
    host = DetectorHost(known, [], reaction=Reaction(known))
    first = host.feed(window(0.0))
    assert first == [
        ReactionLearned(
            tenant_id="t",
            channel_id="c",
            session_id="s",
            media_s=0.0,
            delay_s=14.0,
            usual_s=USUAL_S,
            spread_s=ReactionSettings().prior_spread_s,
            samples=0,
        )
    ]
    assert host.feed(window(1.0)) == []


def test_what_is_known_from_before_gives_way_to_what_is_seen() -> None:
    known = replace(started(), reaction_s=20.0)
    assert abs(learn(session(6.0), Reaction(known))[-1].delay_s - 6.0) <= 2.0


@pytest.mark.parametrize("delay_s", [2.0, 5.0, 20.0])
def test_moments_move_with_what_is_learned(delay_s: float) -> None:
    learned = ReactionLearned(
        tenant_id="t", channel_id="c", session_id="s",
        media_s=0.0, delay_s=delay_s, usual_s=5.0, spread_s=1.0, samples=9,
    )  # fmt: skip
    command = ClipCommand(user="u", text="!clip", at_s=100.5)
    asked = [window(100.0, commands=(command,)), window(107.0)]
    plain, taught = ClipCommands(started()), ClipCommands(started())
    assert taught.feed(learned) == []
    before = [each for event in asked for each in plain.feed(event)]
    after = [each for event in asked for each in taught.feed(event)]
    assert [each.peak_s for each in after] == [each.peak_s - (delay_s - 5.0) for each in before]


def told_by_host(features: list[Event], chat: list[Event], turns: list[bool]) -> list[Outcome]:
    start = started()
    host = DetectorHost(start, [ChatSpike(start), ClipCommands(start)], reaction=Reaction(start))
    rest = {False: list(features), True: list(chat)}
    mixed: list[Event] = []
    for turn in turns:
        mixed += rest[turn][:40]
        del rest[turn][:40]
    mixed += rest[True] + rest[False]
    mixed.append(ended(features[-1].end_s, float(len(chat))))  # type: ignore[attr-defined]
    return [outcome for event in mixed for outcome in host.feed(replace_owner(event))]


def replace_owner(event: Event) -> Event:
    return replace(event, tenant_id="t", channel_id="c", session_id="s", event_id="")


SHARED = session(14.0, events=14, silent=0.0)


@given(turns=st.lists(st.booleans(), max_size=60))
@settings(max_examples=8, deadline=None)
def test_live_and_replay_learn_the_same(turns: list[bool]) -> None:
    """However the two topics interleave, moments and estimates are the same, in the same order."""
    features = [event for event in SHARED if isinstance(event, LoudnessMeasured)]
    chat = [event for event in SHARED if isinstance(event, ChatWindow)]
    told = told_by_host([*features], [*chat], turns)
    assert told == told_by_host([*features], [*chat], [])
    assert any(isinstance(each, ReactionLearned) for each in told)


def test_a_burst_is_placed_where_it_happened_once_the_delay_is_known() -> None:
    """Learned, moments lie nearer to what happened than with the usual lag."""
    random = Random(2)
    happened = times(40, random)
    length_s = happened[-1] + 60.0
    features = sound(happened, length_s, random)
    chat = answers(happened, length_s, random, lambda _: 18.0, silent=0.0)
    moments = told_by_host([*features], [*chat], [])
    peaks = [each.peak_s for each in moments if isinstance(each, MomentDetected)]
    late = [peak for peak in peaks if peak > happened[20]]
    errors = sorted(min(abs(peak - at) for at in happened) for peak in late)
    assert errors[len(errors) // 2] <= 4.0
    assert ChatSpikeSettings().reaction_s == 12.0
