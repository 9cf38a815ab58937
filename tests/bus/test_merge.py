"""The merge of a reader's partitions, over random logs, clocks and reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.kafka_message import Arrived
from bus.merge import Merge, Taken
from bus.ports import TopicPartition

Logs = Mapping[TopicPartition, Sequence[Arrived]]

SESSIONS = TopicPartition("sessions", 0)
PLACES = (SESSIONS, TopicPartition("chat", 0), TopicPartition("segments", 0))


def arrived(offset: int, stamp: int, session: str, event_id: str, *, begins: bool) -> Arrived:
    return Arrived(offset, stamp, 0.0, event_id.encode(), session.encode(), begins, b"c", b"")


@st.composite
def logs(draw: st.DrawFn) -> Logs:
    """Partitions in which each session begins once, with stamps of clocks that do not agree."""
    known = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4))
    found: dict[TopicPartition, Sequence[Arrived]] = {}
    for place in PLACES:
        sessions = known if place == SESSIONS else draw(st.lists(st.sampled_from("abcde")))
        stamps = draw(st.lists(st.integers(0, 30), min_size=len(sessions), max_size=len(sessions)))
        found[place] = [
            arrived(n, stamp, session, f"{place.topic}-{n}", begins=place == SESSIONS)
            for n, (session, stamp) in enumerate(zip(sessions, stamps, strict=True))
        ]
    return found


def merged(data: st.DataObject, told: Logs) -> list[Taken]:
    """Read and take in portions until nothing is left, as a subscription does."""
    merge = Merge({place.topic for place in told}, remember_ids=100)
    read = dict.fromkeys(told, 0)
    for place in told:
        merge.own(place)
    out: list[Taken] = []
    undone = 0
    while True:
        behind = [place for place in told if read[place] < len(told[place])]
        if not behind and merge.is_empty:
            return out
        for place in merge.wants(behind):
            upto = read[place] + data.draw(st.integers(1, 4))
            merge.put(place, told[place][read[place] : upto])
            read[place] = min(upto, len(told[place]))
        marks = merge.marks()
        behind = [place for place in told if read[place] < len(told[place])]
        taken = merge.take(data.draw(st.integers(1, 6)), behind, marks)
        if taken and undone < 5:
            keep = data.draw(st.integers(0, len(taken)))
            merge.put_back(taken[keep:])
            undone += keep < len(taken)
            taken = taken[:keep]
        out += taken


@settings(deadline=None)
@given(st.data(), logs())
def test_all_comes_once_and_nothing_overtakes_in_its_partition(
    data: st.DataObject, told: Logs
) -> None:
    out = merged(data, told)
    for place, expected in told.items():
        assert [found for at, found in out if at == place] == list(expected)


@settings(deadline=None)
@given(st.data(), logs())
def test_a_session_begins_before_all_else_of_it_whatever_the_clocks_say(
    data: st.DataObject, told: Logs
) -> None:
    begun: set[bytes] = set()
    known = {found.session_id for found in told[SESSIONS]}
    for _, found in merged(data, told):
        if found.begins:
            begun.add(found.session_id)
        assert found.session_id in begun or found.session_id not in known


@settings(deadline=None)
@given(st.data(), st.lists(st.sampled_from(PLACES)))
def test_clocks_that_agree_give_the_order_of_publishing(
    data: st.DataObject, places: list[TopicPartition]
) -> None:
    told: dict[TopicPartition, list[Arrived]] = {place: [] for place in PLACES}
    for stamp, place in enumerate([SESSIONS, *places]):
        n = len(told[place])
        told[place].append(arrived(n, stamp, "s", f"{stamp}", begins=stamp == 0))
    assert [found.stamp for _, found in merged(data, told)] == list(range(len(places) + 1))


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc")))
def test_what_came_before_is_left_out_and_told(event_ids: list[str]) -> None:
    merge = Merge({"chat"}, remember_ids=10)
    place = TopicPartition("chat", 0)
    merge.own(place)
    repeated = merge.put(
        place, [arrived(n, n, "s", one, begins=False) for n, one in enumerate(event_ids)]
    )
    taken = [found.offset for _, found in merge.take(100, [], None)]
    assert sorted(taken + repeated) == list(range(len(event_ids)))
    assert [event_ids[n] for n in taken] == list(dict.fromkeys(event_ids))
