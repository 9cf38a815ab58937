"""A live list that counts its segments otherwise goes on by date."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.cursor import Cursor, Lost, Take
from ingest.playlist import MediaPlaylist
from ingest.segment import Segment
from ingest.settings import IngestSettings
from ingest.source import Resume

D0 = 1_700_000_000.0
LENGTH_S = 2.0


def listing(
    first: int, count: int, shift: int, *, dated: bool = True, skew_s: float = 0.0
) -> MediaPlaylist:
    """Segments `first` … of one stream, numbered `shift` higher than they are counted."""
    return MediaPlaylist(
        target_s=LENGTH_S,
        media_sequence=first + shift,
        discontinuity_sequence=0,
        segments=tuple(
            Segment(
                seq=index + shift,
                uri=f"https://edge.test/{shift}/{index}.ts?sig={shift}",
                duration_s=LENGTH_S,
                pdt_s=D0 + LENGTH_S * index + skew_s if dated else None,
            )
            for index in range(first, first + count)
        ),
        ended=False,
    )


def index_of(segment: Segment) -> int:
    return int(segment.path.rpartition("/")[2].removesuffix(".ts"))


lists = st.lists(
    st.tuples(
        st.integers(0, 6),  # how far the edge has moved
        st.integers(1, 12),  # how many are listed
        st.integers(-40, 40),  # how the list counts
        st.floats(-0.4, 0.4),  # how its dates differ
    ),
    min_size=1,
    max_size=30,
)


@given(lists)
@settings(max_examples=300, deadline=None)
def test_however_lists_count_each_segment_is_taken_once_or_told_lost(
    moves: list[tuple[int, int, int, float]],
) -> None:
    cursor = Cursor(IngestSettings(), 0.0, None)
    edge, now_s, shift, before = 100, 0.0, 0, None
    taken: list[int] = []
    numbers: list[tuple[int, int]] = []
    epoch, gaps_s, until_s = 0, 0.0, 0.0
    for moved, count, shifted, skew_s in moves:
        edge += moved
        now_s += 5.0
        shift = 50 + shifted
        elsewhere = before is not None and shift != before
        before = shift
        playlist = listing(edge - count, count, shift, skew_s=skew_s)
        for step in cursor.feed(playlist, now_s, elsewhere=elsewhere):
            if isinstance(step, Lost):
                epoch += step.restart
                assert step.until_pdt_s is not None
                gaps_s += max(0.0, step.until_pdt_s - until_s)
                numbers.append((epoch, step.seq))
            else:
                until_s = (step.segment.pdt_s or 0.0) + LENGTH_S
                taken.append(index_of(step.segment))
                numbers.append((epoch, step.segment.seq))
    assert taken == sorted(set(taken))
    assert numbers == sorted(set(numbers))
    skipped_s = LENGTH_S * sum(b - a - 1 for a, b in pairwise(taken))
    # Dates of two lists differ by up to 0.8 s, and a hole below 0.75 s is none.
    assert gaps_s == pytest.approx(skipped_s, abs=1.0 * len(moves))


@pytest.mark.parametrize("shift", [-90, -1, 1, 7, 4000])
def test_an_overlap_is_continued_without_a_gap(shift: int) -> None:
    cursor = Cursor(IngestSettings(), 0.0, None)
    cursor.feed(listing(100, 8, 0), 0.0)
    steps = cursor.feed(listing(102, 8, shift), 2.0, elsewhere=True)
    lost = [step for step in steps if isinstance(step, Lost)]
    takes = [step.segment for step in steps if isinstance(step, Take)]
    assert [index_of(segment) for segment in takes] == [108, 109]
    assert sum(step.duration_s for step in lost) == 0.0
    clashes = 108 + shift < 108
    assert [step.restart for step in lost] == ([True] if clashes else [])
    following = cursor.feed(listing(103, 8, shift), 4.0)
    assert [index_of(step.segment) for step in following if isinstance(step, Take)] == [110]


def test_the_same_list_at_another_address_is_nothing_new() -> None:
    cursor = Cursor(IngestSettings(), 0.0, None)
    cursor.feed(listing(100, 8, 0), 0.0)
    steps = cursor.feed(listing(101, 8, 0), 2.0, elsewhere=True)
    assert steps == [Take(listing(108, 1, 0).segments[0])]


def test_a_list_that_lags_behind_is_waited_for() -> None:
    cursor = Cursor(IngestSettings(), 0.0, None)
    cursor.feed(listing(100, 8, 0), 0.0)
    assert cursor.feed(listing(90, 8, 500), 2.0, elsewhere=True) == []
    assert cursor.feed(listing(97, 8, 500), 4.0) == []
    steps = cursor.feed(listing(101, 8, 500), 6.0)
    assert [index_of(step.segment) for step in steps if isinstance(step, Take)] == [108]


def test_without_dates_numbers_are_all_there_is() -> None:
    cursor = Cursor(IngestSettings(), 0.0, None)
    cursor.feed(listing(100, 8, 0, dated=False), 0.0)
    steps = cursor.feed(listing(102, 8, 0, dated=False), 2.0, elsewhere=True)
    assert [index_of(step.segment) for step in steps if isinstance(step, Take)] == [108, 109]


def test_a_resumed_reader_finds_its_place_by_date() -> None:
    resume = Resume(
        epoch=0,
        seq=504,
        disc=0,
        media_end_s=10.0,
        media_s=6.0,
        pts_s=0.0,
        pdt_s=D0 + 2 * 103,
        age_s=3.0,
    )
    cursor = Cursor(IngestSettings(), 0.0, resume)
    steps = cursor.feed(listing(100, 8, -100), 0.0)
    # The last stored one is 103, and the one after it was missing: 105 is next.
    assert [index_of(step.segment) for step in steps if isinstance(step, Take)] == [105, 106, 107]
    assert steps[0] == Lost(
        seq=4,
        duration_s=0.0,
        until_pdt_s=D0 + 210,
        reason="late",
        detail="what lies between two lists was never listed",
        restart=True,
    )
