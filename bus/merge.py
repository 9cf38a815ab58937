"""Puts the partitions of one reader into one order, and leaves out what it has had before.

Law: within a partition nothing overtakes. Between topics a session's SessionStarted comes before
all else of the session, whatever the clocks say; beyond that the order is that of the stamps.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from bus.kafka_message import Arrived
from bus.ports import TopicPartition
from bus.recent_ids import RecentIds

_SESSIONS = "sessions"
_KNOWN = 10_000
_SESSIONS_AHEAD = 2_000

Taken = tuple[TopicPartition, Arrived]


class Merge:
    """What has been read from the partitions that one member owns."""

    def __init__(self, topics: Collection[str], remember_ids: int) -> None:
        self._by_head = _SESSIONS in topics and len(topics) > 1
        self._remember_ids = remember_ids
        self._read: dict[TopicPartition, deque[Arrived]] = {}
        self._ids: dict[TopicPartition, RecentIds[bytes]] = {}
        self._beginnings: dict[TopicPartition, set[bytes]] = {}
        self._begun: RecentIds[bytes] = RecentIds(_KNOWN)

    def own(self, place: TopicPartition) -> None:
        """Begin with a partition."""
        self._read.setdefault(place, deque())
        self._ids.setdefault(place, RecentIds(self._remember_ids))
        self._beginnings.setdefault(place, set())

    def drop(self, place: TopicPartition) -> None:
        """Forget a partition and what came from it."""
        self._read.pop(place, None)
        self._ids.pop(place, None)
        self._beginnings.pop(place, None)

    def put(self, place: TopicPartition, found: Iterable[Arrived]) -> list[int]:
        """Add a partition's next records.

        Returns:
            The offsets of those whose event came before; they are left out.
        """
        ids, read, repeated = self._ids[place], self._read[place], []
        for one in found:
            if one.event_id and not ids.add(one.event_id):
                repeated.append(one.offset)
                continue
            read.append(one)
            if one.begins:
                self._beginnings[place].add(one.session_id)
        return repeated

    def put_back(self, taken: Sequence[Taken]) -> None:
        """Undo a take, for its last records."""
        for place, found in reversed(taken):
            self._read[place].appendleft(found)
            if found.begins:
                self._beginnings[place].add(found.session_id)
                self._begun.discard(found.session_id)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be taken."""
        return not any(self._read.values())

    def wants(self, behind: Collection[TopicPartition]) -> list[TopicPartition]:
        """Return those of the partitions of which more must be read before it can go on.

        `sessions` is read ahead, so that a session's beginning is found without handing out what
        lies before it.
        """
        return [
            place
            for place in behind
            if place in self._read
            and (
                not self._read[place]
                or (
                    self._by_head
                    and place.topic == _SESSIONS
                    and len(self._read[place]) < _SESSIONS_AHEAD
                )
            )
        ]

    def without(self, places: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Return those of the partitions of which nothing waits to be taken."""
        return [place for place in places if not self._read.get(place)]

    def heads(self) -> dict[TopicPartition, int]:
        """Return the offset behind the first record that waits, where one does."""
        return {place: found[0].offset + 1 for place, found in self._read.items() if found}

    def marks(self) -> dict[TopicPartition, int]:
        """Return behind which offset nothing of a partition has been read, where something was."""
        return {place: found[-1].offset + 1 for place, found in self._read.items() if found}

    def take(
        self,
        records_max: int,
        behind: Collection[TopicPartition],
        marks: Mapping[TopicPartition, int] | None,
    ) -> list[Taken]:
        """Take what may be handed out.

        Args:
            records_max: the most to take.
            behind: partitions that hold more than has been read, as of a look at the log.
            marks: what had been read before that look; records above wait for the next. None:
                the order between topics does not matter.
        """
        if marks is None:
            return self._take_any(records_max)
        taken: list[Taken] = []
        heads = [(found[0].stamp, place) for place, found in self._read.items() if found]
        heapq.heapify(heads)
        dry_behind = any(not self._read[place] for place in behind if place in self._read)
        while heads and len(taken) < records_max and not dry_behind:
            place = heads[0][1]
            found = self._read[place][0]
            if found.offset >= marks.get(place, 0):
                break
            if self._by_head and self._must_wait(place, found, behind):
                place = TopicPartition(_SESSIONS, place.partition)
                # In front of all, so that what follows it takes its place.
                heads = [(heads[0][0] - 1, place), *(head for head in heads if head[1] != place)]
                heapq.heapify(heads)
            self._pop(taken, place)
            if left := self._read[place]:
                heapq.heapreplace(heads, (left[0].stamp, place))
            else:
                heapq.heappop(heads)
                dry_behind = place in behind
        return taken

    def _take_any(self, records_max: int) -> list[Taken]:
        """Take partition by partition, in turns, so that none waits for ever behind another."""
        taken: list[Taken] = []
        for place in list(self._read):
            found = self._read[place]
            while found and len(taken) < records_max:
                taken.append((place, found.popleft()))
            if len(taken) == records_max:
                break
            self._read[place] = self._read.pop(place)
        return taken

    def _must_wait(
        self, place: TopicPartition, found: Arrived, behind: Collection[TopicPartition]
    ) -> bool:
        """Whether what `sessions` holds must come first: the session's beginning is in it, or may
        be in what has not been read yet."""
        if place.topic == _SESSIONS or found.session_id in self._begun:
            return False
        sessions = TopicPartition(_SESSIONS, place.partition)
        if not self._read.get(sessions):
            return False
        return found.session_id in self._beginnings[sessions] or sessions in behind

    def _pop(self, taken: list[Taken], place: TopicPartition) -> None:
        found = self._read[place].popleft()
        taken.append((place, found))
        if found.begins and self._by_head:
            self._beginnings[place].discard(found.session_id)
            self._begun.add(found.session_id)
