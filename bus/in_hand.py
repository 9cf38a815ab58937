"""Which records have been fetched and are not done yet.

Law: a cursor never moves past a record that is still in hand, although records of different
sessions are done in any order.
"""

from __future__ import annotations

from collections.abc import Mapping

from bus.ports import Record, TopicPartition


class InHand:
    """The records in hand, and how far each partition may be committed."""

    def __init__(self) -> None:
        self._open: dict[TopicPartition, set[int]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def take(self, record: Record) -> None:
        """Note a record that has been fetched."""
        self._open.setdefault(record.place, set()).add(record.offset)
        self._next[record.place] = max(self._next.get(record.place, 0), record.offset + 1)

    def done(self, record: Record) -> None:
        """Note that a record needs no more work."""
        self._open.get(record.place, set()).discard(record.offset)

    def forget(self, place: TopicPartition) -> None:
        """Let go of a partition that is another's now; who still works on it is not missed."""
        for known in (self._open, self._next, self._committed):
            known.pop(place, None)

    def due(self) -> Mapping[TopicPartition, int]:
        """Return the cursors that may move now, and hold them for moved."""
        due: dict[TopicPartition, int] = {}
        for place, after in self._next.items():
            offset = min(self._open[place], default=after)
            if self._committed.get(place) != offset:
                due[place] = offset
        self._committed.update(due)
        return due
