from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import LoudnessMeasured, MomentDetected
from detectors.excitement import Excitement
from tests.detectors.golden_files import check_golden
from tests.detectors.world import loudness, started

Level = Callable[[float], tuple[float, int]]


def stream(
    duration_s: int, level: Level, *, segment_s: int = 2, seed: int = 1
) -> list[LoudnessMeasured]:
    """Segments whose hops have `level(time)` = (dBFS, voice) with a little noise."""
    noise = np.random.default_rng(seed)
    segments = []
    for seq, start_s in enumerate(range(0, duration_s, segment_s)):
        hops = [level(start_s + 0.1 * at) for at in range(segment_s * 10)]
        rms_db = [round(db + float(noise.normal(0, 1.5)), 1) for db, _ in hops]
        segments.append(
            loudness(seq, float(start_s), float(segment_s), rms_db, [voice for _, voice in hops])
        )
    return segments


def run(segments: list[LoudnessMeasured]) -> list[MomentDetected]:
    detector = Excitement(started())
    told = [moment for segment in segments for moment in detector.feed(segment)]
    return told + detector.flush()


def shout(*times: tuple[float, float], db: float = -14.0, voice: int = 100) -> Level:
    def level(at_s: float) -> tuple[float, int]:
        loud = any(start_s <= at_s < end_s for start_s, end_s in times)
        return (db, voice) if loud else (-30.0, 60)

    return level


def test_a_shout_is_a_moment_around_itself() -> None:
    (moment,) = run(stream(120, shout((80.0, 83.0))))
    assert moment.kind == "excitement"
    assert 79.5 < moment.peak_s < 83.5
    assert moment.start_s == pytest.approx(68.0, abs=1.0)
    assert moment.end_s == pytest.approx(83.0, abs=0.7)
    assert moment.decided_s <= 83.0 + 0.5 + 3.0 + 2.0
    assert 0.5 < moment.score <= 0.8


def test_louder_and_longer_scores_higher() -> None:
    weak = run(stream(120, shout((80.0, 81.5), db=-21.0)))
    strong = run(stream(120, shout((80.0, 84.0), db=-12.0)))
    assert weak[0].score < strong[0].score


@pytest.mark.parametrize(
    ("level", "why"),
    [
        (shout((80.0, 80.4)), "too short"),
        (shout((80.0, 83.0), voice=0), "no voice"),
        (shout((80.0, 83.0), db=-27.0), "hardly louder"),
        (shout((10.0, 13.0)), "still warming up"),
        (lambda _: (-8.0, 100), "always loud"),
    ],
)
def test_what_is_no_moment(level: Level, why: str) -> None:
    assert run(stream(120, level)) == [], why


def test_bursts_close_together_are_one() -> None:
    assert len(run(stream(160, shout((80.0, 82.0), (83.5, 85.0), (90.0, 92.0))))) == 1
    assert len(run(stream(160, shout((80.0, 82.0), (120.0, 122.0))))) == 2


def test_a_long_rage_is_decided_before_it_ends() -> None:
    moments = run(stream(140, shout((60.0, 110.0))))
    assert moments
    assert moments[0].decided_s <= 60.0 + 20.0 + 3.0


def test_digital_silence_and_gaps_do_not_lower_the_usual() -> None:
    """After a silence a normal voice is not a shout."""
    normal = stream(60, lambda _: (-25.0, 80))
    pause = [loudness(30 + n, 60.0 + 2 * n, 2.0, [-90.0] * 20, [0] * 20) for n in range(60)]
    lost = [loudness(90 + n, 180.0 + 2 * n, 2.0, gap=True) for n in range(60)]
    after = [
        loudness(150 + n, 300.0 + each.media_s, 2.0, each.rms_db, each.voice)
        for n, each in enumerate(stream(60, lambda _: (-25.0, 80), seed=2))
    ]
    assert run([*normal, *pause, *lost, *after]) == []


def test_a_burst_before_a_gap_is_told_once() -> None:
    before = stream(82, shout((79.0, 82.0)))
    gap = [loudness(41 + n, 82.0 + 2 * n, 2.0, gap=True) for n in range(5)]
    (moment,) = run([*before, *gap])
    assert moment.end_s <= 82.0
    assert moment.decided_s <= 86.0


@given(st.integers(2, 100), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_it_never_looks_ahead(cut: int, seed: int) -> None:
    """What has been decided by a time does not depend on what comes after it."""
    whole = stream(200, shout((60.0, 63.0), (110.0, 114.0), (150.0, 152.0)), seed=seed)
    part = Excitement(started())
    early = [moment for segment in whole[:cut] for moment in part.feed(segment)]
    assert early == run(whole)[: len(early)]


def test_segment_length_does_not_change_the_peaks() -> None:
    level = shout((80.0, 83.0), (130.0, 134.0))
    short = run(stream(200, level, segment_s=2))
    long = run(stream(200, level, segment_s=10))
    assert [moment.peak_s for moment in short] == [moment.peak_s for moment in long]


def test_golden() -> None:
    check_golden("excitement", Excitement(started()))


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(31, 70),
    count=st.integers(1, 30),
    before_db=st.floats(-40.0, -15.0),
    after_db=st.floats(-3.0, 3.0),
    voice=st.integers(0, 100),
)
def test_a_muted_span_is_no_drop_and_what_follows_no_jump(
    first: int, count: int, before_db: float, after_db: float, voice: int
) -> None:
    """Sound returns about as loud as it was: nothing happened, however long it was away."""
    from_s, until_s = 2.0 * first, 2.0 * (first + count)

    def level(at_s: float) -> tuple[float, int]:
        return (before_db if at_s < until_s else before_db + after_db, voice)

    segments = [
        loudness(each.seq, each.media_s, each.duration_s, gap=True)
        if from_s <= each.media_s < until_s
        else each
        for each in stream(2 * (first + count) + 60, level)
    ]
    assert run(segments) == []
