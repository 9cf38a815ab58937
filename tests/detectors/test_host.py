from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import Event, MomentDetected, MomentsSettled, SessionStarted
from detectors.host import DetectorHost
from detectors.settings import HostSettings
from tests.detectors.world import Notebook, chat, ended, loudness, speech, started


def run(
    events: Sequence[Event],
    start: SessionStarted | None = None,
    host_settings: HostSettings | None = None,
) -> tuple[list[Event], Notebook]:
    notebook = Notebook()
    host = DetectorHost(start or started(), [notebook], host_settings)
    told: list[Event] = [outcome for event in events for outcome in host.feed(event)]
    return told, notebook


def session(durations_s: Sequence[float], chat_s: int) -> tuple[list[Event], list[Event]]:
    """Return the features and the chat of a session."""
    features: list[Event] = []
    at_s = 0.0
    for seq, duration_s in enumerate(durations_s):
        if seq % 3 == 0:
            features.append(speech(seq, at_s, duration_s, [("hi", at_s, at_s + 0.1)]))
        features.append(loudness(seq, at_s, duration_s, gap=seq % 4 == 3))
        at_s += duration_s
    return features, [chat(float(second), messages=second % 3) for second in range(chat_s)]


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    durations_s = draw(st.lists(st.sampled_from([0.5, 1.96, 2.0, 4.167, 10.0]), max_size=12))
    features, windows = session(durations_s, draw(st.integers(0, 40)))
    media_s = sum(durations_s)
    end = ended(media_s, float(len(windows)))
    end_at = draw(st.integers(0, len(features) + len(windows)))
    turns = draw(st.lists(st.booleans(), min_size=80, max_size=80))
    repeats = draw(st.lists(st.integers(0, 5), min_size=80, max_size=80))
    mixed: list[Event] = []
    rest = [list(features), list(windows)]
    for turn in turns + [True] * 40 + [False] * 60:
        if rest[turn]:
            mixed.append(rest[turn].pop(0))
    for queue in rest:
        mixed += queue
    mixed.insert(end_at, end)
    with_repeats = [
        again
        for at, event in enumerate(mixed)
        for again in [event] * (2 if repeats[at % 80] == 0 else 1)
    ]
    return [*features, *windows, end], with_repeats


@given(interleavings())
@settings(max_examples=120, deadline=None)
def test_order_between_topics_and_repeats_change_nothing(
    both: tuple[list[Event], list[Event]],
) -> None:
    plain, mixed = both
    expected, expected_notes = run(plain)
    told, notes = run(mixed)
    assert notes.fed == expected_notes.fed
    assert told == expected
    assert notes.flushed
    assert isinstance(told[-1], MomentsSettled)
    assert told[-1].final
    assert sum(isinstance(event, MomentsSettled) and event.final for event in told) == 1


@given(interleavings())
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_and_media_order_is_kept(both: tuple[list[Event], list[Event]]) -> None:
    plain, mixed = both
    _, notes = run(mixed)
    assert sorted(event.event_id for event in notes.fed) == sorted(
        event.event_id for event in plain[:-1]
    )
    for kind in (type(event) for event in notes.fed):
        times = [event.media_s for event in notes.fed if type(event) is kind]  # type: ignore[attr-defined]
        assert times == sorted(times)


@given(interleavings())
@settings(max_examples=60, deadline=None)
def test_a_settled_time_covers_all_that_was_decided_before(
    both: tuple[list[Event], list[Event]],
) -> None:
    told, _ = run(both[1])
    settled_s = -1.0
    for outcome in told:
        if isinstance(outcome, MomentsSettled):
            assert outcome.final or outcome.media_s > settled_s
            settled_s = max(settled_s, outcome.media_s)
        elif isinstance(outcome, MomentDetected) and outcome.kind == "ChatWindow":
            assert outcome.decided_s >= settled_s


def test_features_wait_for_chat_and_chat_for_features() -> None:
    host = DetectorHost(started(), [Notebook()])
    assert host.feed(loudness(0, 0.0, 2.0)) != []  # at zero both have come as far
    assert host.feed(loudness(1, 2.0, 2.0)) == []
    assert len(host.feed(chat(0.0))) == 1
    told = host.feed(chat(1.0))
    assert [type(each).__name__ for each in told] == [
        "MomentDetected",
        "MomentsSettled",
        "MomentDetected",
    ]
    assert host.waiting == 1


def test_without_chat_nothing_waits() -> None:
    told, _ = run([loudness(0, 0.0, 2.0), ended(2.0)], started(has_chat=False))
    settled = [each for each in told if isinstance(each, MomentsSettled)]
    assert [(each.media_s, each.final) for each in settled] == [(2.0, False), (2.0, True)]


@pytest.mark.parametrize(("kind", "count"), [("live", 30), ("vod", 10)])
def test_how_often_it_settles(kind: str, count: int) -> None:
    events = [loudness(seq, seq * 2.0, 2.0) for seq in range(30)]
    told, _ = run(events, started(kind, has_chat=False))
    assert sum(isinstance(each, MomentsSettled) for each in told) == count


def test_an_empty_session_is_final_at_once() -> None:
    told, notes = run([ended(0.0)])
    assert [type(each) for each in told] == [MomentsSettled]
    assert notes.flushed


def test_date_jitter_between_segments_drops_nothing() -> None:
    """A segment may begin a little before the end of the one before, by its date."""
    events = [loudness(0, 0.0, 2.01), loudness(1, 2.0, 2.01), loudness(2, 4.0, 2.01)]
    _, notes = run(events, started(has_chat=False))
    assert len(notes.fed) == 3


def test_a_topic_that_never_comes_does_not_hold_the_other_for_ever() -> None:
    host_settings = HostSettings(waiting_max=10)
    notebook = Notebook()
    host = DetectorHost(started(), [notebook], host_settings)
    for seq in range(50):
        host.feed(loudness(seq, seq * 2.0, 2.0))
    assert host.waiting == 10
    assert host.forced > 0
    assert len(notebook.fed) > 20


def test_after_the_final_word_nothing_is_told() -> None:
    host = DetectorHost(started(has_chat=False), [Notebook()])
    host.feed(ended(0.0))
    assert host.done
    assert host.feed(loudness(0, 0.0, 2.0)) == []
