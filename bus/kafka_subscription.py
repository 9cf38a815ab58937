"""One member of a group on Kafka: what it owns, what it has read, what it hands out.

Law: a record that has been handed out is not handed out again by the same member as long as it
keeps the partition; partitions move only while nothing is in hand, or after `hold_s`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
)

from bus.codec import decode
from bus.errors import BusError, MalformedEvent, UnknownEvent
from bus.kafka_client import KafkaClient
from bus.kafka_membership import Membership
from bus.kafka_message import Arrived, Stamps, arrived
from bus.merge import Merge, Taken
from bus.ports import Meter, Record, TopicPartition

log = logging.getLogger(__name__)

_READ_MAX = 1_000
"""Records of several topics that are read at once, so that the merge seldom waits for one."""
_READ_FEW = 200
"""Records of one topic: more would outlive the garbage collector's young generations in vain."""
_POLL_S = 0.2
_LOOKS = 4
_HANDED_MAX = 5_000
"""Records of a partition that may be rejected after they have been handed out; a reader that never
commits must not keep them all."""

Bury = Callable[[TopicPartition, Arrived, str, int], Awaitable[None]]


class KafkaSubscription:
    """Implements bus.ports.Subscription."""

    def __init__(
        self,
        client: KafkaClient,
        group: str,
        topics: Sequence[str],
        stamps: Stamps,
        clock: Callable[[], float],
        bury: Bury,
        meter: Meter,
    ) -> None:
        self._client = client
        self._settings = client.settings
        self._group = group
        self._stamps = stamps
        self._bury = bury
        self._meter = meter
        self._ordered = len(topics) > 1
        self._read_max = _READ_MAX if self._ordered else _READ_FEW
        self._merge = Merge(topics, client.settings.remember_ids)
        self._member = Membership(client, group, topics, clock, self._adopt)
        self._next: dict[TopicPartition, int] = {}
        self._skipped: dict[TopicPartition, set[int]] = {}
        self._cursors: dict[TopicPartition, int] = {}
        self._handed: defaultdict[TopicPartition, deque[Arrived]] = defaultdict(
            lambda: deque(maxlen=_HANDED_MAX)
        )
        self._marks: dict[TopicPartition, int] = {}
        self._behind: set[TopicPartition] = set()
        self._ends: dict[TopicPartition, int] = {}
        self._starved_s: dict[TopicPartition, float] = {}

    async def join(self) -> None:
        """Join the group, and wait a while for a share of the partitions.

        Raises:
            BusError: no broker answers.
        """
        await self._member.join()

    async def leave(self) -> None:
        """Leave the group; what is not committed comes again to others."""
        await self._member.leave()

    @property
    def owned(self) -> frozenset[TopicPartition]:
        """The partitions that are this member's at present."""
        return self._member.owned

    def alive(self) -> None:
        """Note that the process is alive."""
        self._member.alive()

    async def fetch(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return the next records; see bus.ports.Subscription."""
        until_s = _now() + timeout_s
        self._member.rest()
        looked = False
        while True:
            await self._member.settle(until_s)
            self._member.check()
            if not self._merge.is_empty:
                records = await self._take(max_records, until_s)
                if records:
                    return records
            left_s = until_s - _now()
            if left_s > 0:
                await self._read(None, left_s if self._merge.is_empty else min(left_s, _POLL_S))
            elif looked:
                await self._check_progress()
                await self._pass_skipped()
                return []
            else:
                looked = True
                if timeout_s <= 0:
                    await self._catch_up(until_s)

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Move the group's cursors; see bus.ports.Subscription."""
        moved = {place: self._past_skipped(place, at) for place, at in next_offsets.items()}
        await self._member.commit(moved)
        for place, offset in moved.items():
            if skipped := self._skipped.get(place):
                self._skipped[place] = {each for each in skipped if each >= offset}
            handed = self._handed[place]
            while handed and handed[0].offset < offset:
                handed.popleft()
            self._cursors[place] = offset

    async def _pass_skipped(self) -> None:
        """Commit past what is left out where nothing else would: at a partition's end."""
        moved = {
            place: at
            for place, at in self._cursors.items()
            if at in self._skipped.get(place, ()) and place in self._member.owned
        }
        if moved:
            try:
                await self.commit(moved)
            except BusError as error:
                log.info("not passed", extra={"group": self._group, "error": str(error)})

    async def reject(self, record: Record, error: str, attempts: int) -> None:
        """Put a poison record into the dead letters; see bus.ports.Subscription."""
        handed = self._handed[record.place]
        found = next((each for each in handed if each.offset == record.offset), None)
        if found is None:
            raise BusError(f"{record.place} {record.offset} is not in hand")
        await self._bury(record.place, found, error, attempts)

    # --- partitions come and go ---

    def _adopt(self, owned: Collection[TopicPartition], kept: Collection[TopicPartition]) -> None:
        """Take over a new share; called while nothing is being read."""
        for place in [place for place in self._next if place not in kept]:
            self._merge.drop(place)
            del self._next[place]
            self._skipped.pop(place, None)
            self._cursors.pop(place, None)
            self._handed.pop(place, None)
        for place in owned:
            if place in self._next:
                self._member.consumer.seek(self._client.at_broker(place), self._next[place])
            else:
                self._merge.own(place)
        self._marks.clear()
        self._behind.clear()
        self._starved_s.clear()

    # --- reading ---

    async def _take(self, max_records: int, until_s: float) -> list[Record]:
        if not self._ordered:
            return await self._decoded(self._merge.take(max_records, (), None))
        taken: list[Taken] = []
        if self._may_go_on():
            taken = await self._merged(max_records, until_s)
        for _ in range(_LOOKS):
            if taken or self._merge.is_empty:
                break
            # What the last look brought to light comes first, and needs a look of its own.
            await self._look()
            taken = await self._merged(max_records, until_s)
        return await self._decoded(taken)

    async def _merged(self, max_records: int, until_s: float) -> list[Taken]:
        await self._fill(until_s)
        if self._member.has_news:
            # Partitions that came back meanwhile are read anew: whoever folds must first hear that
            # they were gone.
            return []
        return self._merge.take(max_records, self._behind, self._marks)

    async def _fill(self, until_s: float) -> None:
        """Read what the merge needs to know before it can go on."""
        patience_s = max(until_s, _now() + _POLL_S)
        turn = self._member.turn
        while (dry := self._merge.wants(self._behind)) and turn == self._member.turn:
            if _now() > patience_s:
                break
            await self._read(dry, _POLL_S)
            await self._see_positions(dry)

    def _may_go_on(self) -> bool:
        """Whether the last look at the log still lets something out."""
        return any(self._marks.get(place, 0) >= end for place, end in self._merge.heads().items())

    async def _look(self) -> None:
        """Ask how far the partitions go now, after what has been read from them."""
        marks, turn = self._merge.marks(), self._member.turn
        self._marks, self._behind = {}, set()
        asked = [self._client.at_broker(place) for place in self._member.owned]
        if not asked:
            return
        try:
            ends = await self._client.ask(self._member.consumer.end_offsets(asked))
        except BusError as error:
            log.info("no look at the log", extra={"group": self._group, "error": str(error)})
            return
        if turn != self._member.turn:
            return
        self._ends = {self._client.ours(place): end for place, end in ends.items()}
        await self._see_positions([place for place in self._ends if place not in self._next])
        if turn == self._member.turn:
            self._marks = marks
            self._behind = {place for place in self._ends if self._is_behind(place)}

    def _is_behind(self, place: TopicPartition) -> bool:
        return self._next.get(place, 0) < self._ends.get(place, 0)

    async def _see_positions(self, places: Sequence[TopicPartition]) -> None:
        """Learn where reading stands in partitions that gave nothing: committed, or trimmed."""
        for place in places:
            turn = self._member.turn
            try:
                at = await self._client.ask(
                    self._member.consumer.position(self._client.at_broker(place))
                )
            except (BusError, IllegalStateError):
                return
            if turn != self._member.turn:
                return
            self._next[place] = max(at, self._next.get(place, 0))
            self._skipped.setdefault(place, set())
            if not self._is_behind(place):
                self._behind.discard(place)

    async def _read(self, places: Sequence[TopicPartition] | None, timeout_s: float) -> None:
        """Read what is there, or wait for it."""
        consumer = self._member.consumer
        if not self._member.owned:
            await self._member.moves(timeout_s)
            return
        chosen = [self._client.at_broker(place) for place in places or ()]
        began_s = _now()
        try:
            # While partitions move, the library would wait for their new owner without a limit.
            async with asyncio.timeout(timeout_s + _POLL_S):
                found = await consumer.getmany(
                    *chosen, timeout_ms=max(1, round(timeout_s * 1000)), max_records=self._read_max
                )
        except TimeoutError:
            found = {}
        except KafkaError as error:
            raise BusError(f"{self._group} cannot read: {error!r}") from error
        for kafka_place, records in found.items():
            place = self._client.ours(kafka_place)
            if place in self._member.owned:
                self._put(place, records)
        if not found:
            for place in places or self._member.owned:
                waited_s = self._starved_s.get(place, 0.0) + _now() - began_s
                self._starved_s[place] = waited_s

    def _put(self, place: TopicPartition, records: Sequence[Any]) -> None:
        self._starved_s.pop(place, None)
        found = [arrived(record) for record in records]
        self._stamps.saw(max(one.stamp for one in found))
        repeated = self._merge.put(place, found)
        if repeated:
            self._skipped.setdefault(place, set()).update(repeated)
            self._meter.count("clipthat_bus_repeated_total", len(repeated), topic=place.topic)
        self._next[place] = records[-1].offset + 1
        # Reading began where the group had committed.
        self._cursors.setdefault(place, records[0].offset)
        if not self._is_behind(place):
            self._behind.discard(place)

    async def _decoded(self, taken: Sequence[Taken]) -> list[Record]:
        records: list[Record] = []
        for n, (place, one) in enumerate(taken):
            try:
                event = decode(one.value)
            except (MalformedEvent, UnknownEvent) as error:
                if records:
                    # What is in hand goes out first, so that nothing is lost if burying fails.
                    self._merge.put_back(taken[n:])
                    taken = taken[:n]
                    break
                await self._bury(place, one, str(error), 1)
                self._skipped.setdefault(place, set()).add(one.offset)
                log.warning(
                    "record cannot be read",
                    extra={"topic": place.topic, "offset": one.offset, "error": str(error)},
                )
                continue
            records.append(Record(place.topic, place.partition, one.offset, one.at_s, event))
        for place, one in taken:
            self._handed[place].append(one)
        if records:
            self._member.handed(_behind(taken))
        return records

    async def _catch_up(self, until_s: float) -> None:
        """Read what was published before now, for a reader that does not wait."""
        await self._member.probe()
        await self._member.settle(until_s)
        await self._look()
        patience_s = _now() + self._settings.join_s
        while self._behind and self._merge.is_empty and _now() < patience_s:
            await self._read(None, _POLL_S)
            await self._see_positions(list(self._behind))

    async def _check_progress(self) -> None:
        """Notice a reader that has silently come to a stand.

        Raises:
            BusError: a partition holds more, and gave nothing in `stall_s` of waiting for it.
        """
        limit_s = self._settings.stall_s
        starved = [place for place, waited_s in self._starved_s.items() if waited_s >= limit_s]
        if not starved:
            return
        self._starved_s.clear()
        await self._look()
        stuck = self._merge.without(self._behind.intersection(starved))
        if stuck:
            raise BusError(f"{self._group} has got nothing from {stuck[0]} for {limit_s:g} s")

    def _past_skipped(self, place: TopicPartition, offset: int) -> int:
        skipped = self._skipped.get(place, set())
        while offset in skipped:
            offset += 1
        return offset


def _behind(taken: Sequence[Taken]) -> dict[TopicPartition, int]:
    """Return the offsets behind these records; neighbours of one partition are looked up once."""
    nexts: dict[TopicPartition, int] = {}
    last, at = taken[0]
    for place, one in taken:
        if place is not last:
            nexts[last] = at.offset + 1
        last, at = place, one
    nexts[last] = at.offset + 1
    return nexts


def _now() -> float:
    return asyncio.get_running_loop().time()
