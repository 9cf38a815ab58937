"""The small pure cores: clock, continuity, ring, minutes, probes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.clock import PTS_WRAP_S, MediaClock, unwrap
from ingest.continuity import Continuity, Probe
from ingest.errors import BadSegment
from ingest.minutes import MinuteCount
from ingest.probe import probe_segment
from ingest.ring import Ring
from tests.hls_media import fmp4_segments, ts_segments

steps = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(0, 1e7)),
        st.floats(0, 20),
    ),
    max_size=30,
)


@given(steps)
def test_the_media_clock_never_goes_back_and_names_every_hole(
    dated: list[tuple[float | None, float]],
) -> None:
    clock = MediaClock()
    end_s = 0.0
    for pdt_s, duration_s in dated:
        place = clock.place(pdt_s, duration_s)
        assert place.media_s >= 0
        assert place.media_s - place.hole_s == pytest.approx(end_s, abs=0.76)
        assert clock.end_s >= end_s
        end_s = clock.end_s


def test_a_wall_clock_that_is_set_back_leaves_no_hole() -> None:
    clock = MediaClock()
    clock.place(1000.0, 2.0)
    place = clock.place(400.0, 2.0)
    assert (place.media_s, place.hole_s, place.jumped) == (2.0, 0.0, True)
    assert clock.place(402.0, 2.0).jumped is False


@given(st.floats(0, 1e6), st.floats(-300, 300))
def test_timestamps_are_unwrapped_to_the_nearest_turn(at_s: float, drift_s: float) -> None:
    assert unwrap(at_s % PTS_WRAP_S, at_s + drift_s) == pytest.approx(at_s, abs=1e-3)


def probe(pts_s: float | None, signature: bytes = b"a") -> Probe:
    return Probe(
        container="ts",
        pts_s=pts_s,
        duration_s=2.0,
        signature=signature,
        has_video=True,
        has_audio=True,
    )


def test_the_bytes_decide_what_is_continuous() -> None:
    flow = Continuity()
    assert flow.step(0.0, False, probe(PTS_WRAP_S - 3)) == (0, PTS_WRAP_S - 3)
    disc, pts_s = flow.step(2.0, False, probe(PTS_WRAP_S - 1))
    assert disc == 0
    disc, pts_s = flow.step(4.0, True, probe(1.0))
    assert (disc, pts_s) == (0, pytest.approx(PTS_WRAP_S + 1)), "a wrap, and a spurious tag"
    assert flow.step(6.0, False, probe(500.0)) == (1, 500.0), "an untagged jump"
    assert flow.step(8.0, False, probe(502.0, b"b")) == (2, 502.0), "other parameters"
    assert flow.step(40.0, False, probe(534.0, b"b"))[0] == 2, "a gap is no discontinuity"


@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 1000)), min_size=1, max_size=60),
    st.floats(5, 60),
    st.integers(100, 5000),
)
def test_the_ring_holds_its_bounds_and_forgets_in_order(
    spans: list[tuple[float, int]], seconds_max: float, bytes_max: int
) -> None:
    ring = Ring(seconds_max, bytes_max)
    held: list[str] = []
    end_s = 0.0
    for index, (duration_s, size) in enumerate(spans):
        end_s += duration_s
        held.append(str(index))
        leaving = ring.add(str(index), end_s, size)
        assert leaving == held[: len(leaving)]
        held = held[len(leaving) :]
        assert held
        assert len(ring) == len(held)
        assert len(held) == 1 or (ring.span_s <= seconds_max and ring.size_bytes <= bytes_max)


def test_the_ring_keeps_what_a_reader_has_not_seen() -> None:
    ring = Ring(4, 10)
    assert ring.add("a", 2, 100, unseen_s=0.0) == []
    assert ring.add("b", 20, 100, unseen_s=1.0) == []
    assert ring.add("c", 22, 100, unseen_s=20.0) == ["a", "b"]


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 40)), max_size=15))
@settings(max_examples=40, deadline=None)
def test_minutes_never_exceed_distinct_stored_seconds(spans: list[tuple[float, float]]) -> None:
    count = MinuteCount()
    told: list[int] = []
    covered: set[int] = set()
    for start_s, length_s in spans:
        start_s, end_s = round(start_s, 3), round(start_s + length_s, 3)
        told += [minute for minute, _ in count.add(start_s, end_s)]
        covered.update(range(round(start_s * 1000), round(end_s * 1000)))
    assert told == list(range(len(told)))
    assert len(told) <= len(covered) // 60_000
    assert count.stored_s <= len(covered) / 1000 + 1e-9


def test_a_stored_hour_is_sixty_minutes() -> None:
    count = MinuteCount()
    told = [m for at in range(0, 3600, 2) for m in count.add(at, at + 2.0)]
    assert told == [(minute, (minute + 1) * 60.0) for minute in range(60)]


@pytest.mark.parametrize("segment", [*ts_segments(), *fmp4_segments()])
def test_real_segments_are_known_for_what_they_are(segment: object) -> None:
    body, init = segment.body, segment.init  # type: ignore[attr-defined]
    found = probe_segment(body, init, 2.0)
    assert found.container == ("ts" if init is None else "fmp4")
    assert found.has_video
    assert found.has_audio
    assert found.duration_s == pytest.approx(2.0, abs=0.06)


def test_another_resolution_is_another_signature() -> None:
    small, large = ts_segments()[0], ts_segments(size="320x180")[0]
    assert probe_segment(small.body, None, 2.0).signature == (
        probe_segment(ts_segments()[2].body, None, 2.0).signature
    )
    assert probe_segment(small.body, None, 2.0).signature != (
        probe_segment(large.body, None, 2.0).signature
    )


def test_sound_alone_is_a_segment() -> None:
    found = probe_segment(ts_segments(video=False)[1].body, None, 2.0)
    assert not found.has_video
    assert found.pts_s is not None


@given(st.integers(0, 80_000), st.binary(min_size=0, max_size=40))
@settings(max_examples=60, deadline=None)
def test_spoiled_segments_are_bad_or_whole_and_never_break_the_probe(
    cut: int, noise: bytes
) -> None:
    for segment in (ts_segments()[0], fmp4_segments()[0]):
        for body in (segment.body[:cut], segment.body[:cut] + noise + segment.body[cut:], noise):
            with contextlib.suppress(BadSegment):
                probe_segment(body, segment.init, 2.0)
