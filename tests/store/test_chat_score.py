from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import ChatWindow
from store.chat_score import ChatScoreSettings, score_whole

NAMES = {"tenant_id": "t", "channel_id": "c", "session_id": "s"}


def windows_of(messages: list[int], gaps: frozenset[int] = frozenset()) -> list[ChatWindow]:
    return [
        ChatWindow(
            **NAMES,
            media_s=float(second),
            messages=0 if second in gaps else count,
            gap=second in gaps,
        )
        for second, count in enumerate(messages)
    ]


def bursts_at(starts: list[int], length_s: int, sizes: list[int]) -> list[int]:
    """Return chat that answers each start 20 s later, for ten seconds."""
    random = Random(5)
    messages = [int(random.random() < 0.5) for _ in range(length_s)]
    for start, size in zip(starts, sizes, strict=True):
        for second in range(start + 16, start + 26):
            messages[second] += size
    return messages


def test_the_strongest_moment_comes_first_and_begins_where_it_began() -> None:
    moments = score_whole(windows_of(bursts_at([200, 500, 800], 1100, [3, 9, 5])))[:3]
    assert [round(moment.start_s / 100) for moment in moments] == [5, 8, 2]
    for moment in moments:
        assert abs(moment.start_s - 100 * round(moment.start_s / 100)) <= 10
        assert moment.start_s < moment.peak_s < moment.end_s
    assert [moment.score for moment in moments] == sorted(
        (moment.score for moment in moments), reverse=True
    )


def test_a_gap_is_no_lull_that_makes_what_follows_a_burst() -> None:
    messages = [4] * 900
    gaps = frozenset(range(400, 460))
    assert score_whole(windows_of(messages, gaps)) == []


def test_a_hole_in_the_windows_is_a_gap() -> None:
    windows = windows_of([4] * 900)
    assert score_whole(windows[:400] + windows[500:]) == []


def test_silence_and_no_chat_have_no_moments() -> None:
    assert score_whole([]) == []
    assert score_whole(windows_of([0] * 600)) == []
    assert score_whole(windows_of([0] * 600, frozenset(range(600)))) == []
    assert score_whole(windows_of([1])) == []


def test_a_lone_line_in_a_silent_chat_is_no_moment() -> None:
    messages = [0] * 600
    messages[300] = 3
    assert score_whole(windows_of(messages)) == []


def test_a_few_lines_in_a_silent_chat_score_less_than_a_roar() -> None:
    few, roar = [0] * 600, [0] * 600
    for second in range(300, 310):
        few[second], roar[second] = second % 2, 8
    (small,), (big,) = score_whole(windows_of(few)), score_whole(windows_of(roar))
    assert small.score < big.score


def test_a_session_that_begins_late_keeps_its_media_times() -> None:
    messages = bursts_at([300], 700, [8])
    early = score_whole(windows_of(messages))[0]
    windows = [
        ChatWindow(**NAMES, media_s=second + 5000.0, messages=count)
        for second, count in enumerate(messages)
    ]
    assert score_whole(windows)[0].start_s == early.start_s + 5000.0


def test_order_does_not_matter() -> None:
    windows = windows_of(bursts_at([200, 500], 800, [3, 9]))
    assert score_whole(windows[::-1]) == score_whole(windows)


def test_a_chat_many_times_busier_has_the_same_moments() -> None:
    messages = [16 * count for count in bursts_at([200, 500, 800], 1100, [3, 9, 5])]
    few = score_whole(windows_of(messages))
    many = score_whole(windows_of([64 * count for count in messages]))
    assert [moment.start_s for moment in few] == [moment.start_s for moment in many]
    assert [m.score for m in few] == pytest.approx([m.score for m in many], abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=400), st.integers(1, 6))
def test_moments_are_apart_few_and_well_formed(messages: list[int], moments_max: int) -> None:
    chosen = ChatScoreSettings(apart_s=45.0, moments_max=moments_max)
    moments = score_whole(windows_of(messages), chosen)
    assert len(moments) <= moments_max
    assert all(0.0 <= moment.score <= 1.0 for moment in moments)
    starts = sorted(moment.start_s for moment in moments)
    assert all(later - sooner >= 45.0 for sooner, later in pairwise(starts))
