"""Answers about the log as a whole: how far groups are behind, and what the dead letters say.

Law: it reads without being in any group, so that asking moves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bus.errors import BusError
from bus.kafka_client import KafkaClient
from bus.kafka_message import arrived, read_letter
from bus.ports import DeadLetter, Lag, TopicPartition
from bus.topics import TOPICS, dlq_name

_READ_S = 5.0
"""How long records that are surely there may take to come."""


class Ledger:
    """Reads ends, cursors and dead letters."""

    def __init__(self, client: KafkaClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._joined: dict[str, set[str]] = {}
        self._reader: Any = None
        self._turn = asyncio.Lock()

    def joined(self, group: str, topics: Sequence[str]) -> None:
        """Note that a group reads these topics."""
        self._joined.setdefault(group, set()).update(topics)

    async def close(self) -> None:
        """Close the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await self._client.let_go(reader.stop())

    async def lag(self, group: str) -> list[Lag]:
        """Return how far a group is behind."""
        async with self._turn:
            cursors = await self._cursors(group)
            places = list(cursors)
            begins, ends = await self._bounds(places)
            at = {
                place: max(begins[place], -1 if cursor is None else cursor)
                for place, cursor in cursors.items()
            }
            behind = {place: at[place] for place in places if at[place] < ends[place]}
            firsts = await self._records(behind, 1, {place: at[place] + 1 for place in behind})
            now_s = self._clock()
            return [
                Lag(
                    place,
                    max(0, ends[place] - at[place]),
                    max(0.0, now_s - arrived(firsts[place][0]).at_s) if firsts.get(place) else 0.0,
                )
                for place in sorted(places)
            ]

    async def dead_letters(self, topic: str, limit: int) -> list[DeadLetter]:
        """Return the newest dead letters of a topic, oldest first."""
        grave = dlq_name(topic)
        await self._client.ensure([grave])
        async with self._turn:
            places = [TopicPartition(grave, n) for n in range(TOPICS[topic].partitions)]
            begins, ends = await self._bounds(places)
            starts = {
                place: max(begins[place], ends[place] - limit)
                for place in places
                if begins[place] < ends[place]
            }
            found = await self._records(starts, limit, ends)
        letters: dict[tuple[str, int, int], DeadLetter] = {}
        for record in (record for records in found.values() for record in records):
            letter = read_letter(record)
            if letter is not None:
                # It may have been sent twice.
                letters.setdefault((letter.group, letter.partition, letter.offset), letter)
        newest = sorted(letters.values(), key=lambda letter: (letter.at_s, letter.offset))
        return newest[-limit:]

    async def _cursors(self, group: str) -> Mapping[TopicPartition, int | None]:
        topics = set(self._joined.get(group, ()))
        await self._client.ensure(sorted(topics))
        places = [
            self._client.at_broker(TopicPartition(topic, n))
            for topic in sorted(topics)
            for n in range(TOPICS[topic].partitions)
        ]
        async with self._client.admin() as admin:
            found = await self._client.ask(
                admin.list_consumer_group_offsets(
                    self._client.name(group), partitions=places or None
                )
            )
        cursors: dict[TopicPartition, int | None] = {
            self._client.ours(place): None for place in places
        }
        for place, cursor in found.items():
            cursors[self._client.ours(place)] = cursor.offset if cursor.offset >= 0 else None
        return {place: at for place, at in cursors.items() if place.topic in TOPICS}

    async def _bounds(
        self, places: Sequence[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """Return the first offset that is there and the one behind the last."""
        if not places:
            return {}, {}
        reader = await self._ready()
        asked = [self._client.at_broker(place) for place in places]
        begins = await self._client.ask(reader.beginning_offsets(asked))
        ends = await self._client.ask(reader.end_offsets(asked))
        return (
            {self._client.ours(place): at for place, at in begins.items()},
            {self._client.ours(place): at for place, at in ends.items()},
        )

    async def _records(
        self,
        starts: Mapping[TopicPartition, int],
        limit: int,
        ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, list[Any]]:
        """Read up to `limit` records of each partition."""
        found: dict[TopicPartition, list[Any]] = {place: [] for place in starts}
        if not starts:
            return found
        reader = await self._ready()
        reader.assign([self._client.at_broker(place) for place in starts])
        for place, at in starts.items():
            reader.seek(self._client.at_broker(place), at)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _READ_S
        left = set(starts)
        while left and loop.time() < until_s:
            got = await self._client.ask(
                reader.getmany(
                    *map(self._client.at_broker, left), timeout_ms=200, max_records=limit
                )
            )
            for kafka_place, records in got.items():
                place = self._client.ours(kafka_place)
                found[place] += records
                if len(found[place]) >= limit or records[-1].offset + 1 >= ends[place]:
                    left.discard(place)
        return found

    async def _ready(self) -> Any:
        if self._reader is None:
            reader = self._client.reader()
            try:
                await self._client.ask(reader.start(), self._client.settings.connect_s)
            except BusError:
                await self._client.let_go(reader.stop())
                raise
            self._reader = reader
        return self._reader
