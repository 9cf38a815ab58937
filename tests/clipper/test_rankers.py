"""Every moment ends in one decision, and the order of offers changes nothing."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import MomentDetected
from clipper.best_n import BestNRanker
from clipper.errors import UnknownRanker
from clipper.live_ranker import LiveRanker
from clipper.lively import liveliest
from clipper.merge import to_pick
from clipper.port import Decision, Join, Pass, Pick, Ranker
from clipper.registry import RANKERS, make_ranker
from clipper.settings import BestNSettings, ClipperSettings, LiveRankerSettings, MergeSettings
from clipper.sound import Sound
from store.chat_score import ScoredMoment
from tests.clipper.made import chat, moment, started

KINDS = ("clip_command", "chat_spike", "spoken_phrase", "excitement")


@st.composite
def sessions(draw: st.DrawFn) -> list[MomentDetected]:
    peaks = draw(st.lists(st.integers(10, 600), max_size=12, unique=True))
    return [
        moment(
            float(peak),
            kind=draw(st.sampled_from(KINDS)),
            score=draw(st.floats(0, 1)),
            decided_s=peak + draw(st.floats(0, 30)),
        )
        for peak in peaks
    ]


def decide(ranker: Ranker, moments: list[MomentDetected], step_s: float = 5.0) -> list[Decision]:
    decisions: list[Decision] = []
    waiting = list(moments)
    now_s = 0.0
    while waiting:
        now_s += step_s
        for each in [m for m in waiting if m.decided_s < now_s]:
            decisions += ranker.offer(each)
        waiting = [m for m in waiting if m.decided_s >= now_s]
        decisions += ranker.settle(now_s)
    return [*decisions, *ranker.close()]


def decided_ids(decisions: list[Decision]) -> list[str]:
    ids: list[str] = []
    for each in decisions:
        ids += [m.event_id for m in each.moments] if isinstance(each, Pick) else [each.moment_id]
    return sorted(ids)


def picks(decisions: list[Decision]) -> list[Pick]:
    return [each for each in decisions if isinstance(each, Pick)]


@pytest.mark.parametrize("name", list(RANKERS))
@given(moments=sessions(), seed=st.integers())
@settings(max_examples=40, deadline=None)
def test_every_moment_is_decided_once_whatever_the_order(
    name: str, moments: list[MomentDetected], seed: int
) -> None:
    shuffled = list(moments)
    random.Random(seed).shuffle(shuffled)
    begun = started(clips_max=None if name == "live" else 3)
    decisions = decide(make_ranker(name, ClipperSettings(), begun), moments)
    assert decided_ids(decisions) == sorted(each.event_id for each in moments)
    assert all(each.reason for each in decisions if isinstance(each, Pass))
    assert all(each.pick in decisions for each in decisions if isinstance(each, Join))
    assert decide(make_ranker(name, ClipperSettings(), begun), shuffled) == decisions


@given(moments=sessions())
@settings(max_examples=40, deadline=None)
def test_live_clips_keep_their_distance(moments: list[MomentDetected]) -> None:
    ranker = LiveRanker(LiveRankerSettings(cooldown_s=60, clips_per_hour=4), MergeSettings())
    peaks = sorted(pick.peak_s for pick in picks(decide(ranker, moments)))
    assert len(peaks) <= 4
    assert all(later - earlier >= 60 for earlier, later in pairwise(peaks))


@given(moments=sessions())
@settings(max_examples=40, deadline=None)
def test_best_n_are_spread(moments: list[MomentDetected]) -> None:
    ranker = BestNRanker(started(clips_max=3), BestNSettings(), MergeSettings())
    peaks = sorted(pick.peak_s for pick in picks(decide(ranker, moments)))
    assert len(peaks) <= 3
    assert all(later - earlier >= 120 for earlier, later in pairwise(peaks))


def test_agreeing_kinds_become_one_better_clip() -> None:
    command, spike = moment(100, score=0.6), moment(103, kind="chat_spike", score=0.5)
    ranker = LiveRanker(LiveRankerSettings(), MergeSettings())
    (pick,) = picks(decide(ranker, [command, spike]))
    assert pick.kinds == ("chat_spike", "clip_command")
    assert pick.peak_s == 100
    assert pick.score == pytest.approx(0.75)


def test_phrase_alone_needs_support() -> None:
    phrase = moment(100, kind="spoken_phrase", score=0.9)
    ranker = LiveRanker(LiveRankerSettings(), MergeSettings())
    (passed,) = decide(ranker, [phrase])
    assert isinstance(passed, Pass)
    assert "nothing else agrees" in passed.reason
    trusting = MergeSettings(phrase_alone_weight=1.0)
    assert picks(decide(LiveRanker(LiveRankerSettings(), trusting), [phrase]))
    supported = [phrase, moment(108, kind="chat_spike", score=0.3)]
    assert picks(decide(LiveRanker(LiveRankerSettings(), MergeSettings()), supported))


def test_late_moment_joins_the_clip() -> None:
    late = moment(101, kind="chat_spike", decided_s=130)
    later = moment(110, kind="excitement", decided_s=140)
    pick, *joins = decide(
        LiveRanker(LiveRankerSettings(), MergeSettings()), [moment(100), late, later]
    )
    assert isinstance(pick, Pick)
    assert joins == [Join(late.event_id, pick), Join(later.event_id, pick)]


def test_triggers_that_agree_become_one_clip() -> None:
    script = [
        moment(28.6, kind="clip_command", score=0.78, decided_s=47, before_s=18, after_s=5),
        moment(32.0, kind="chat_spike", score=0.98, decided_s=47, before_s=15, after_s=5),
        moment(34.0, kind="spoken_phrase", score=0.45, decided_s=40, before_s=21, after_s=4.5),
        moment(36.0, kind="excitement", score=0.8, decided_s=42, before_s=18, after_s=3),
    ]
    for step_s in (0.25, 1.0, 5.0):
        (pick,) = decide(LiveRanker(LiveRankerSettings(), MergeSettings()), script, step_s)
        assert isinstance(pick, Pick)
        assert pick.kinds == tuple(sorted(KINDS))
        assert pick.score == 1.0


def test_a_strong_event_is_picked_when_its_window_can_close() -> None:
    ranker = LiveRanker(LiveRankerSettings(hold_s=14), MergeSettings())
    ranker.offer(moment(100, kind="excitement", decided_s=106))
    assert ranker.settle(111.75) == []
    assert picks(ranker.settle(112.0))
    command = LiveRanker(LiveRankerSettings(hold_s=14), MergeSettings())
    command.offer(moment(100, kind="clip_command", decided_s=103))
    assert command.settle(103.75) == []
    assert picks(command.settle(104.0))


def test_a_weak_event_waits_longer_for_company() -> None:
    phrase = moment(40, kind="spoken_phrase", score=0.45, decided_s=46)
    spike = moment(52, kind="chat_spike", score=0.6, decided_s=67)
    ranker = LiveRanker(LiveRankerSettings(hold_s=14, hold_weak_s=30), MergeSettings())
    ranker.offer(phrase)
    assert ranker.settle(66.0) == []
    ranker.offer(spike)
    (pick,) = ranker.settle(67.25)
    assert isinstance(pick, Pick)
    assert pick.kinds == ("chat_spike", "spoken_phrase")
    alone = LiveRanker(LiveRankerSettings(hold_s=14, hold_weak_s=30), MergeSettings())
    alone.offer(phrase)
    assert alone.settle(69.75) == []
    (passed,) = alone.settle(70.0)
    assert isinstance(passed, Pass)


def test_cooldown_says_how_long_ago() -> None:
    second = moment(112.0 + 10)
    decisions = decide(LiveRanker(LiveRankerSettings(), MergeSettings()), [moment(100), second])
    assert decisions[-1] == Pass(second.event_id, "cooldown: 22 s after the last clip")


def test_whole_chat_finds_and_weighs_moments() -> None:
    def curve(windows: object) -> list[ScoredMoment]:
        return [ScoredMoment(start_s=380, peak_s=400, end_s=410, score=0.9)]

    spike = moment(100, kind="chat_spike", score=0.9)
    command = moment(250, score=0.5)
    ranker = BestNRanker(started(clips_max=2), BestNSettings(), MergeSettings(), score_chat=curve)
    ranker.offer(spike)
    ranker.offer(command)
    ranker.hear([chat(0)])
    decisions = ranker.close()
    assert [pick.peak_s for pick in picks(decisions)] == [250, 400]
    assert decided_ids([d for d in decisions if isinstance(d, Pass)]) == [spike.event_id]


def sound(levels: list[float]) -> Sound:
    """Return sound of one level (dB) a second, without voice."""
    rms = np.repeat(np.array(levels, dtype=float), 10)
    return Sound(hop_s=0.1, rms_db=rms, voice_percent=np.zeros_like(rms))


def filled(levels: list[float], *moments: MomentDetected, clips_max: int = 3) -> list[Pick]:
    ranker = BestNRanker(started(clips_max=clips_max), BestNSettings(), MergeSettings())
    for each in moments:
        ranker.offer(each)
    ranker.listen(sound(levels))
    return picks(ranker.close())


def test_lively_stretches_fill_up_below_the_moments() -> None:
    levels = [-30.0 + (n * 7) % 5 for n in range(1800)]
    for at in (300, 330, 900, 1500):
        levels[at : at + 8] = [-12.0 + at / 1000] * 8
    found = filled(levels, moment(1200, score=0.2))
    assert [pick.kinds for pick in found] == [("lively",), ("clip_command",), ("lively",)]
    assert [pick.peak_s for pick in found] == pytest.approx([904, 1200, 1504], abs=1)
    assert max(pick.score for pick in found if pick.kinds == ("lively",)) < 0.2
    assert all(
        float(pick.moments[0].evidence["rise_db"]) > 10 for pick in found if pick.score < 0.2
    )


def test_enough_moments_are_not_filled() -> None:
    levels = [-30.0] * 600
    levels[300:310] = [-10.0] * 10
    found = filled(levels, moment(100), moment(500), clips_max=2)
    assert [pick.kinds for pick in found] == [("clip_command",)] * 2
    assert len(filled([-30.0 - n % 9 for n in range(3600)], clips_max=50)) <= 12


def test_a_short_recording_with_sound_is_one_clip_and_a_silent_one_none() -> None:
    assert len(filled([-30.0] * 22)) == 1
    assert filled([-90.0] * 22) == []
    assert filled([float("nan")] * 600) == []
    assert filled([]) == []


def test_filling_can_be_switched_off() -> None:
    ranker = BestNRanker(started(clips_max=3), BestNSettings(fill=False), MergeSettings())
    ranker.listen(sound([-30.0] * 22))
    assert ranker.close() == []


@given(
    levels=st.lists(st.one_of(st.floats(-90, 0), st.just(float("nan"))), max_size=900),
    taken=st.lists(st.floats(0, 900), max_size=3),
    count=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_lively_stretches_keep_their_distance(
    levels: list[float], taken: list[float], count: int
) -> None:
    found = liveliest(sound(levels), count, 120, taken)
    assert len(found) <= count
    for place, each in enumerate(found):
        others = [*taken, *(other.peak_s for other in found[:place])]
        assert all(abs(each.peak_s - other) >= 120 for other in others)
        assert 0 <= each.peak_s <= len(levels)
        assert 0 <= each.score <= 1


def test_order_of_kinds_does_not_change_a_pick() -> None:
    group = [moment(100, score=0.5), moment(101, kind="excitement", score=0.5)]
    assert to_pick(group, MergeSettings()) == to_pick(group[::-1], MergeSettings())


def test_unknown_ranking_names_the_known_ones() -> None:
    with pytest.raises(UnknownRanker, match="live, best_n"):
        make_ranker("nope", ClipperSettings(), started())
