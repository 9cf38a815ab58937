from __future__ import annotations

from bus.in_hand import InHand
from bus.ports import Record, TopicPartition
from tests.bus.world import window

PLACE = TopicPartition("chat", 0)


def record(offset: int) -> Record:
    return Record("chat", 0, offset, 0.0, window(offset))


def test_a_cursor_never_passes_what_is_in_hand() -> None:
    hand = InHand()
    for offset in (4, 5, 6):
        hand.take(record(offset))
    hand.done(record(5))
    assert hand.due() == {PLACE: 4}
    assert hand.due() == {}
    hand.done(record(4))
    assert hand.due() == {PLACE: 6}
    hand.done(record(6))
    assert hand.due() == {PLACE: 7}
    assert len(hand) == 0


def test_a_partition_that_is_lost_is_forgotten() -> None:
    hand = InHand()
    hand.take(record(4))
    hand.forget(PLACE)
    hand.done(record(4))
    assert (len(hand), hand.due()) == (0, {})
    hand.take(record(4))
    assert hand.due() == {PLACE: 4}
