"""One member of a group on the local bus: what it owns, what it has read, what it hands out.

Law: records come in the order in which the file was written, over all partitions owned; a record
that has been handed out is never handed out again by the same member.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Mapping
from typing import Protocol

import apsw

from bus import local_groups, local_tables
from bus.codec import decode
from bus.errors import Fenced, MalformedEvent, UnknownEvent
from bus.local_groups import Held, Member
from bus.local_tables import StoredRow
from bus.ports import Meter, Record, TopicPartition
from bus.settings import LocalBusSettings
from bus.sqlite_thread import SqliteThread

log = logging.getLogger(__name__)

_READ_MAX = 500
"""Records of one partition that are read ahead at once."""


class Board(Protocol):
    """What a process knows of the log without asking the file."""

    settings: LocalBusSettings
    file: SqliteThread
    meter: Meter
    ends: dict[TopicPartition, int]
    epochs: dict[str, int]
    news: asyncio.Event
    """Set, and replaced by a fresh one, when an end or an epoch has moved."""

    def clock(self) -> float:
        """Return Unix time."""
        ...

    async def refresh(self) -> None:
        """Look what other processes have written."""
        ...

    def tell(self) -> None:
        """Wake everybody who waits for news."""
        ...


class LocalSubscription:
    """Implements bus.ports.Subscription."""

    def __init__(self, board: Board, member: Member) -> None:
        self._board = board
        self._member = member
        self._held: dict[TopicPartition, Held] = {}
        self._ahead: dict[TopicPartition, deque[StoredRow]] = {}
        self._read_to: dict[TopicPartition, int] = {}
        self._buried: dict[TopicPartition, set[int]] = {}
        self._epoch = -1
        self._look_again_s = 0.0

    async def fetch(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return the next records; see bus.ports.Subscription."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while True:
            news = self._board.news
            await self._claim_if_due()
            records = await self._take(max_records)
            if records:
                return records
            await self._board.refresh()
            left_s = until_s - loop.time()
            if news is self._board.news:
                if left_s <= 0:
                    return []
                try:
                    async with asyncio.timeout(min(left_s, self._board.settings.heartbeat_s)):
                        await news.wait()
                except TimeoutError:
                    continue

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Move the group's cursors; see bus.ports.Subscription."""
        moved: dict[TopicPartition, int] = {}
        for place, offset in next_offsets.items():
            buried = self._buried.get(place, set())
            while offset in buried:
                offset += 1
            moved[place] = offset
        held = dict(self._held)
        try:
            await self._board.file.write(
                lambda db: local_groups.commit(db, self._member, held, moved)
            )
        except Fenced:
            self._epoch = -1  # the next fetch looks what is still held
            raise
        for place, offset in moved.items():
            self._buried[place] = {each for each in self._buried[place] if each >= offset}

    async def reject(self, record: Record, error: str, attempts: int) -> None:
        """Put a poison record into the dead letters; see bus.ports.Subscription."""
        now_s = self._board.clock()
        await self._board.file.write(
            lambda db: local_tables.bury(
                db, self._member.group, record.place, record.offset, error, attempts, now_s
            )
        )
        self._count_buried(record.topic)

    async def claim(self) -> None:
        """Join the group, or look again which partitions are this member's.

        Raises:
            Fenced: some are no longer.
        """
        board = self._board
        now_s = board.clock()
        lease_s = board.settings.lease_s
        held, epochs = await board.file.write(
            lambda db: (
                local_groups.claim(db, self._member, now_s, lease_s),
                local_groups.epochs(db),
            )
        )
        self._epoch = epochs.get(self._member.group, 0)
        self._look_again_s = now_s + board.settings.heartbeat_s
        if epochs != board.epochs:
            board.epochs = epochs
            board.tell()
        self._hold(held)

    def _hold(self, held: dict[TopicPartition, Held]) -> None:
        before = self._held
        self._held = held
        lost = [
            place for place in before if place not in held or held[place].gen != before[place].gen
        ]
        for place in lost:
            del self._ahead[place], self._read_to[place], self._buried[place]
        for place, grip in held.items():
            if place not in self._ahead:
                self._ahead[place] = deque()
                self._read_to[place] = grip.offset
                self._buried[place] = set()
        if lost:
            names = ", ".join(f"{place.topic}/{place.partition}" for place in lost)
            raise Fenced(f"{self._member.group}: {names} moved to another member", lost)

    async def _claim_if_due(self) -> None:
        epoch = self._board.epochs.get(self._member.group, 0)
        if epoch != self._epoch or self._board.clock() >= self._look_again_s:
            await self.claim()

    async def _take(self, max_records: int) -> list[Record]:
        await self._read_ahead(min(max_records, _READ_MAX))
        heads = [(rows[0].n, place) for place, rows in self._ahead.items() if rows]
        heapq.heapify(heads)
        records: list[Record] = []
        while heads and len(records) < max_records:
            _, place = heads[0]
            rows = self._ahead[place]
            try:
                records.append(_record(place, rows[0]))
            except (MalformedEvent, UnknownEvent) as error:
                if records:
                    # What is in hand goes out first, so that nothing is lost if burying fails.
                    return records
                await self._bury(place, rows[0], error)
            rows.popleft()
            if rows:
                heapq.heapreplace(heads, (rows[0].n, place))
            elif self._has_more(place):
                break
            else:
                heapq.heappop(heads)
        return records

    async def _read_ahead(self, limit: int) -> None:
        wanted = {
            place: self._read_to[place]
            for place, rows in self._ahead.items()
            if not rows and self._has_more(place)
        }
        if not wanted:
            return
        ends = {place: self._board.ends[place] for place in wanted}
        found = await self._board.file.read(lambda db: local_tables.read(db, wanted, limit))
        for place, rows in found.items():
            self._ahead[place].extend(rows)
            # Nothing where there should be something: it has been trimmed away.
            self._read_to[place] = rows[-1].offset + 1 if rows else ends[place]

    def _has_more(self, place: TopicPartition) -> bool:
        return self._read_to[place] < self._board.ends.get(place, 0)

    async def _bury(self, place: TopicPartition, row: StoredRow, error: Exception) -> None:
        group, gen, now_s = self._member.group, self._held[place].gen, self._board.clock()

        def step(db: apsw.Connection) -> None:
            local_tables.bury(db, group, place, row.offset, str(error), 1, now_s)
            local_groups.commit_buried(db, self._member, place, gen, row.offset)

        await self._board.file.write(step)
        self._buried[place].add(row.offset)
        self._count_buried(place.topic)
        log.warning(
            "record cannot be read",
            extra={"topic": place.topic, "offset": row.offset, "error": str(error)},
        )

    def _count_buried(self, topic: str) -> None:
        self._board.meter.count(
            "clipthat_bus_dead_letters_total", group=self._member.group, topic=topic
        )


def _record(place: TopicPartition, row: StoredRow) -> Record:
    return Record(place.topic, place.partition, row.offset, row.at_s, decode(row.value))
