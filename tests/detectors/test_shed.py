from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.events import ChannelDegraded, LiveLagged, SegmentStored
from detectors.settings import ShedSettings
from detectors.shed import Shed, Told, What

HOW = ShedSettings()
ALL: tuple[What, ...] = ("frames", "phrases", "segments")
AFTER_S = dict(
    zip(ALL, (HOW.frames_after_s, HOW.phrases_after_s, HOW.segments_after_s), strict=True)
)
LAGS = st.lists(st.floats(0.0, 1_000.0), max_size=40)


def segment(seq: int) -> SegmentStored:
    return SegmentStored(
        tenant_id="t1",
        channel_id="c1",
        session_id="s1",
        epoch=0,
        seq=seq,
        disc=0,
        media_s=2.0 * seq,
        duration_s=2.0,
        container="ts",
    )


def seen(shed: Shed, lags_s: Sequence[float]) -> list[list[Told]]:
    """Return what is told at each segment; one comes every two seconds."""
    return [shed.see(segment(seq), lag_s, 2.0 * seq) for seq, lag_s in enumerate(lags_s)]


def degraded(told: Sequence[Sequence[Told]]) -> list[ChannelDegraded]:
    return [each for some in told for each in some if isinstance(each, ChannelDegraded)]


def lagged(told: Sequence[Sequence[Told]]) -> list[LiveLagged]:
    return [each for some in told for each in some if isinstance(each, LiveLagged)]


@given(LAGS)
def test_a_replay_leaves_out_nothing_and_tells_nothing(lags_s: list[float]) -> None:
    shed = Shed(HOW, live=False)
    assert not any(seen(shed, lags_s))
    assert not any(shed.leaves_out(what) for what in ALL)
    assert shed.end(segment(99)) == []


@given(LAGS)
def test_what_matters_more_is_left_out_last_and_comes_back_first(lags_s: list[float]) -> None:
    shed = Shed(HOW, live=True)
    for seq, lag_s in enumerate(lags_s):
        shed.see(segment(seq), lag_s, 0.0)
        left_out = [shed.leaves_out(what) for what in ALL]
        assert left_out == sorted(left_out, reverse=True)
        assert shed.is_active is any(left_out)


@given(LAGS)
def test_nothing_is_left_out_before_its_lag_nor_after_it_has_been_made_good(
    lags_s: list[float],
) -> None:
    shed = Shed(HOW, live=True)
    for seq, lag_s in enumerate(lags_s):
        before = {what: shed.leaves_out(what) for what in ALL}
        shed.see(segment(seq), lag_s, 0.0)
        for what, after_s in AFTER_S.items():
            if lag_s > after_s:
                assert shed.leaves_out(what)
            elif lag_s <= after_s * HOW.back_share:
                assert not shed.leaves_out(what)
            else:
                assert shed.leaves_out(what) is before[what], "it flaps"


@given(LAGS)
def test_every_beginning_has_its_end(lags_s: list[float]) -> None:
    shed = Shed(HOW, live=True)
    told = [*seen(shed, lags_s), shed.end(segment(len(lags_s)))]
    reasons = [each.reason for each in degraded(told)]
    is_open = False
    for reason in reasons:
        assert reason == "overloaded" or is_open
        is_open = reason == "overloaded"
    assert not is_open
    over = [each.over for each in lagged(told)]
    assert not over or over[-1]
    assert shed.end(segment(len(lags_s))) == []


def test_what_was_left_out_is_told_in_a_plain_sentence() -> None:
    shed = Shed(HOW, live=True)
    (begun,) = degraded([shed.see(segment(0), 61.0, 0.0)])
    assert (begun.reason, begun.detail) == (
        "overloaded",
        "the machine cannot keep up: frames are left out until it has caught up",
    )
    for seq in range(12):
        shed.left_out("frames", segment(seq))
    (ended,) = degraded([shed.see(segment(12), 30.0, 24.0)])
    assert (ended.reason, ended.detail) == (
        "caught_up",
        "the machine could not keep up: 12 frames left out",
    )


def test_all_that_was_left_out_is_told_and_counts_afresh_the_next_time() -> None:
    shed = Shed(HOW, live=True)
    (begun,) = degraded([shed.see(segment(0), 301.0, 0.0)])
    assert "frames, the search for spoken phrases and whole old segments are" in begun.detail
    for what in ALL:
        shed.left_out(what, segment(1))
    (ended,) = degraded([shed.end(segment(2))])
    assert ended.detail == (
        "the machine could not keep up: 1 frame, the search for spoken phrases in 2 s"
        " and 2 s as a whole left out"
    )
    shed.see(segment(3), 61.0, 0.0)
    (again,) = degraded([shed.see(segment(4), 0.0, 0.0)])
    assert again.detail == "the machine could not keep up: nothing was left out"


def test_a_restart_ends_what_was_said_before_it() -> None:
    shed = Shed(HOW, live=True, overloaded=True)
    assert shed.see(segment(0), 31.0, 0.0)  # replays are told, and nobody else
    assert shed.is_active
    shed.left_out("frames", segment(0))
    (ended,) = degraded([shed.see(segment(1), 0.0, 2.0)])
    assert (ended.reason, ended.detail) == (
        "caught_up",
        "the machine could not keep up: 1 frame left out since it was started again",
    )
    assert not Shed(HOW, live=False, overloaded=True).is_active


@pytest.mark.parametrize("every_s", [2.0, 5.0])
def test_replays_are_told_again_and_again_to_hold_back(every_s: float) -> None:
    shed = Shed(HOW, live=True)
    told = []
    for at in range(20):
        told.append(shed.see(segment(at), 30.0, at * every_s))
    assert [each.over for each in lagged(told)] == [False] * len(lagged(told))
    assert len(lagged(told)) == 1 + (19 * every_s) // HOW.tell_every_s
    assert lagged([shed.see(segment(21), 10.0, 0.0)])[0].over
    assert not degraded(told)
