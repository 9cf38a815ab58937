from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.ports import TopicPartition
from bus.rewind import Heads, SafePositions

A, B = TopicPartition("chat", 0), TopicPartition("features", 0)


def test_without_open_sessions_everything_is_safe() -> None:
    positions = SafePositions()
    positions.took(A, 4, "s")
    positions.took(B, 9, "s")
    assert positions.safe([]) == {A: 5, B: 10}


def test_the_oldest_open_session_holds_back_each_partition_at_its_own_first_record() -> None:
    positions = SafePositions()
    for offset, session in enumerate(["done", "old", "done", "new", "old"]):
        positions.took(A, offset, session)
    positions.took(B, 7, "new")
    positions.took(B, 8, "old")
    assert positions.safe(["old", "new"]) == {A: 1, B: 7}
    assert positions.safe(["new"]) == {A: 3, B: 7}
    assert positions.safe([]) == {A: 5, B: 9}


def test_a_session_that_opens_again_counts_from_where_it_is_seen_again() -> None:
    positions = SafePositions()
    positions.took(A, 0, "s")
    assert positions.safe([]) == {A: 1}
    positions.took(A, 1, "s")
    assert positions.safe(["s"]) == {A: 1}


def test_a_record_that_nobody_follows_holds_nothing_back() -> None:
    positions = SafePositions()
    positions.took(A, 0, None)
    assert positions.safe(["s"]) == {A: 1}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B]), st.sampled_from("stuv"), st.sets(st.sampled_from("stuv"))
        )
    )
)
def test_no_record_of_a_session_that_stays_open_lies_behind_a_safe_position(
    steps: list[tuple[TopicPartition, str, set[str]]],
) -> None:
    positions, ends, log = SafePositions(), {A: 0, B: 0}, []
    opened: set[str] = set()
    before: dict[TopicPartition, int] = {}
    for place, session, closing in steps:
        positions.took(place, ends[place], session)
        opened.add(session)
        log.append((place, ends[place], session))
        ends[place] += 1
        opened -= closing
        log = [each for each in log if each[2] in opened]
        safe = positions.safe(opened)
        assert all(offset >= safe[where] for where, offset, _ in log)
        assert all(safe[where] >= at for where, at in before.items())
        assert all(safe[where] <= ends[where] for where in safe)
        before = safe


def test_heads_are_known_until_there_are_very_many() -> None:
    heads = Heads()
    for n in range(10_500):
        heads.began(f"s{n}", 0)
    heads.forget(["s0"])
    assert heads.knows("s0")
    assert not heads.knows("s1")
    assert heads.knows("s10499")
    assert not heads.knows("never")


def test_what_was_done_in_a_partition_that_moved_is_forgotten_too() -> None:
    heads = Heads()
    heads.began("done", 0)
    heads.began("open", 0)
    heads.began("elsewhere", 1)
    heads.moved([TopicPartition("chat", 0)], ["open"])
    assert not heads.knows("done")
    assert heads.knows("open")
    assert heads.knows("elsewhere")
