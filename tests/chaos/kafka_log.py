"""Follows the whole log on Kafka while a run goes on, and hands it over as it was written.

Law: it reads every partition from its beginning, is in no group and commits nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bus.codec import decode
from bus.events import Event, MomentsSettled, SegmentMissing, SegmentStored
from bus.kafka_client import KafkaClient
from bus.kafka_settings import KafkaSettings
from bus.ports import TopicPartition
from bus.topics import DLQ_SUFFIX, TOPICS, dlq_name
from tests.chaos.leases import until
from tests.chaos.truth import Truth, from_records


class KafkaLog:
    """What has been read so far."""

    def __init__(self, client: KafkaClient, reader: Any, places: list[TopicPartition]) -> None:
        self._client = client
        self._reader = reader
        self._places = [client.at_broker(place) for place in places]
        self._read_to: dict[Any, int] = {}
        self.records: list[tuple[str, float, bytes]] = []
        self.events: list[Event] = []
        self.told_s: dict[str, float] = defaultdict(float)
        """Until where a channel's media is told, stored or missing; by its id."""
        self.settled_s: dict[str, float] = defaultdict(float)
        """Until where a channel's moments are settled."""
        self.missed_s: dict[str, float] = {}
        """Seconds of each stretch that is told to be missing, by its event's id."""

    def _note(self, event: Event) -> None:
        self.events.append(event)
        channel_id = event.channel_id
        if isinstance(event, SegmentStored | SegmentMissing):
            self.told_s[channel_id] = max(self.told_s[channel_id], event.end_s)
        if isinstance(event, SegmentMissing):
            self.missed_s[event.event_id] = event.duration_s
        if isinstance(event, MomentsSettled):
            self.settled_s[channel_id] = max(self.settled_s[channel_id], event.media_s)

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            for place, found in (await self._reader.getmany(timeout_ms=200)).items():
                topic = self._client.ours(place).topic
                for record in found:
                    self._read_to[place] = record.offset + 1
                    self.records.append((topic, record.timestamp / 1000, record.value))
                    if not topic.endswith(DLQ_SUFFIX):
                        self._note(decode(record.value))

    def keep(self, path: Path) -> None:
        """Write what has been read into a file, a line of JSON for each record."""
        with path.open("w") as file:
            for topic, at_s, value in self.records:
                told = {"topic": topic, "at_s": at_s, "value": value.decode(errors="replace")}
                file.write(json.dumps(told) + "\n")

    async def truth(self) -> Truth:
        """Return the whole log, up to where it ends now."""
        ends = await self._reader.end_offsets(self._places)
        await until(lambda: all(self._read_to.get(p, 0) >= end for p, end in ends.items()))
        return from_records(self.records)


@contextlib.asynccontextmanager
async def following(bootstrap: str) -> AsyncIterator[KafkaLog]:
    """Follow the log for as long as the context is open; makes the topics that are not there."""
    client = KafkaClient(KafkaSettings(bootstrap=bootstrap))
    names = [*TOPICS, *map(dlq_name, TOPICS)]
    await client.ensure(names)
    places = [
        TopicPartition(name, number)
        for name in names
        for number in range(TOPICS[name.removesuffix(DLQ_SUFFIX)].partitions)
    ]
    reader = client.reader()
    await reader.start()
    try:
        reader.assign([client.at_broker(place) for place in places])
        log = KafkaLog(client, reader, places)
        task = asyncio.create_task(log.follow())
        try:
            yield log
        finally:
            task.cancel()
            await asyncio.wait({task})
    finally:
        await reader.stop()


async def read_kafka(bootstrap: str) -> Truth:
    """Read the whole log, up to where it ends now."""
    async with following(bootstrap) as log:
        return await log.truth()
