from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import ChatWindow, LoudnessMeasured, MomentDetected
from detectors.chat_spike import ChatSpike
from detectors.settings import ChatSpikeSettings
from tests.detectors.chats import NAMES, chat, run, started, window

GOLDEN = Path(__file__).parent / "golden" / "chat_spike.json"

counts = st.lists(st.integers(0, 12), min_size=0, max_size=150)


def spikes(windows: list[ChatWindow], *, flush: bool = True) -> list[MomentDetected]:
    return run(ChatSpike(started()), windows, flush=flush)


def as_windows(messages: list[int]) -> list[ChatWindow]:
    return [
        window(second, count, shouts=count // 2, gap=count == 12)
        for second, count in enumerate(messages)
    ]


def told(moments: list[MomentDetected]) -> list[dict[str, object]]:
    rows = []
    for moment in moments:
        row = asdict(moment)
        row["score"] = round(moment.score, 6)
        rows.append(row)
    return rows


def test_a_recorded_chat_gives_the_moments_of_the_golden_file() -> None:
    windows = chat(600, rate=0.8, bursts=(150, 330, 480), burst_rate=6.0, seed=3)
    assert told(spikes(windows)) == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("rate", [0.02, 0.5, 2.0, 15.0])
def test_a_burst_is_found_in_a_tiny_and_in_a_huge_chat(rate: float) -> None:
    windows = chat(400, rate=rate, bursts=(250,), burst_rate=max(0.8, 3 * rate))
    strongest = max(spikes(windows), key=lambda moment: moment.score)
    lag_s = ChatSpikeSettings().reaction_s
    assert 250 <= strongest.peak_s + lag_s <= 275
    assert strongest.start_s < strongest.peak_s < strongest.end_s
    assert strongest.decided_s <= 300


def test_the_evidence_says_how_much_louder_it_was_and_what_was_said() -> None:
    windows = chat(400, rate=1.0, bursts=(250,), burst_rate=9.0)
    moment = max(spikes(windows), key=lambda moment: moment.score)
    evidence = moment.evidence
    assert float(evidence["rate"]) > 5 * float(evidence["baseline"])
    assert str(evidence["times"]).startswith("×")
    assert int(str(evidence["times"])[1:]) == pytest.approx(
        float(evidence["rate"]) / float(evidence["baseline"]), rel=0.15
    )
    assert evidence["sample"] == "POG"
    assert int(evidence["chatters"]) >= 5


def test_a_stronger_burst_scores_higher() -> None:
    scores = [
        max(m.score for m in spikes(chat(400, rate=1.0, bursts=(250,), burst_rate=burst)))
        for burst in (2.0, 5.0, 12.0)
    ]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]


def test_one_viewer_alone_is_no_burst() -> None:
    windows = [window(second, int(second in (100, 103, 106))) for second in range(200)]
    assert spikes(windows) == []


def test_nothing_is_detected_before_the_warmup() -> None:
    windows = [window(second, 10 if second < 12 else 0) for second in range(29)]
    assert spikes(windows) == []


def test_a_long_roar_is_decided_in_time_and_does_not_repeat_itself_while_it_lasts() -> None:
    windows = [window(second, 1 if second < 200 else 8) for second in range(500)]
    moments = spikes(windows)
    assert len(moments) == 1
    assert moments[0].decided_s - 200 <= ChatSpikeSettings().burst_max_s + 5


def test_a_second_wave_on_top_of_the_first_is_a_moment_of_its_own() -> None:
    quiet, loud, louder = 1, 6, 25
    windows = [
        window(second, louder if 240 <= second < 250 else loud if 200 <= second < 250 else quiet)
        for second in range(350)
    ]
    peaks = [moment.peak_s + ChatSpikeSettings().reaction_s for moment in spikes(windows)]
    assert len(peaks) == 2
    assert 245 <= peaks[1] <= 255


def test_a_reconnection_is_neither_a_lull_nor_a_burst() -> None:
    steady = [window(second, 3, gap=300 <= second < 360) for second in range(600)]
    assert spikes(steady) == []


def test_a_hole_in_the_windows_is_a_gap() -> None:
    steady = [window(second, 3) for second in range(600) if not 300 <= second < 420]
    assert spikes(steady) == []


def test_a_burst_that_a_gap_cuts_off_is_decided_there() -> None:
    windows = [
        window(second, 12 if second >= 195 else 1, gap=second >= 203) for second in range(260)
    ]
    moments = spikes(windows, flush=False)
    assert len(moments) == 1
    assert moments[0].decided_s == 204


def test_a_burst_that_the_end_cuts_off_comes_with_the_flush() -> None:
    windows = [window(second, 12 if second >= 195 else 1) for second in range(203)]
    assert spikes(windows, flush=False) == []
    assert len(spikes(windows)) == 1


def test_a_window_that_comes_again_counts_once() -> None:
    windows = chat(400, rate=1.0, bursts=(250,), burst_rate=8.0)
    doubled = [event for one in windows for event in (one, one)]
    assert spikes(doubled) == spikes(windows)


def test_other_events_are_ignored() -> None:
    loudness = LoudnessMeasured(**NAMES, epoch=0, seq=0, media_s=0.0, duration_s=2.0)
    assert ChatSpike(started()).feed(loudness) == []


def test_silence_has_no_moment() -> None:
    assert spikes([window(second) for second in range(500)]) == []


@settings(max_examples=40, deadline=None)
@given(counts)
def test_moments_are_well_formed_whatever_chat_does(messages: list[int]) -> None:
    moments = spikes(as_windows(messages))
    for moment in moments:
        assert 0.0 <= moment.score <= 1.0
        assert 0.0 <= moment.start_s <= moment.peak_s <= moment.end_s
        assert moment.peak_s <= moment.decided_s
    decided = [moment.decided_s for moment in moments]
    assert decided == sorted(decided)
    assert len({moment.event_id for moment in moments}) == len(moments)


@settings(max_examples=40, deadline=None)
@given(counts, st.integers(0, 150))
def test_a_beginning_of_the_chat_gives_a_beginning_of_the_moments(
    messages: list[int], cut: int
) -> None:
    windows = as_windows(messages)
    whole = spikes(windows, flush=False)
    part = spikes(windows[:cut], flush=False)
    assert whole[: len(part)] == part
    assert all(moment.decided_s > cut for moment in whole[len(part) :])


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 8), st.integers(0, 1000))
def test_a_busy_channel_and_one_that_is_many_times_busier_have_the_same_moments(
    times: int, seed: int
) -> None:
    # Both are choppier than chance, as real chat is: only then is size the one difference.
    calm = chat(500, rate=1.0, bursts=(200, 380), burst_rate=7.0, seed=seed)
    usual = [window(w.media_s, 6 * w.messages, shouts=6 * w.shouts) for w in calm]
    busier = [window(w.media_s, times * w.messages, shouts=times * w.shouts) for w in usual]
    strong = ChatSpikeSettings(surge_min=2.0, messages_min=0)
    few = run(ChatSpike(started(), strong), usual)
    many = run(ChatSpike(started(), strong), busier)
    # How choppy a chat is has to be learnt first.
    big_few = [m.peak_s for m in few if m.score > 0.6 and m.decided_s > 120]
    big_many = [m.peak_s for m in many if m.score > 0.6 and m.decided_s > 120]
    assert len(big_few) >= 1
    assert len(big_few) == len(big_many)
    assert big_few == pytest.approx(big_many, abs=2.0)
