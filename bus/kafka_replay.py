"""Reads what a key has in the log now, without being in any group.

Law: it ends where the log ended when it began, and an event that stands there twice comes once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from bus.errors import BusError
from bus.kafka_client import KafkaClient
from bus.kafka_message import Arrived, arrived
from bus.ports import Record, TopicPartition
from bus.readable import readable
from bus.recent_ids import RecentIds
from bus.topics import places_of

_READ_MAX = 2_000
_POLL_S = 1.0
_SKEW_S = 300.0
"""The brokers' clock, by which they look a time up, may differ so much from a publisher's."""


async def replay(
    client: KafkaClient, key: str, topics: Sequence[str], since_s: float
) -> AsyncGenerator[Record]:
    """Yield a key's records; see bus.ports.Bus.

    Raises:
        BusError: a topic is unknown, no broker answers, or one gives nothing of what it holds.
    """
    places = places_of(key, topics)
    await client.ensure(topics)
    consumer = client.reader()
    try:
        await client.ask(consumer.start(), client.settings.connect_s)
        consumer.assign([client.at_broker(place) for place in places])
        ends = await _seek(client, consumer, places, since_s)
        async with contextlib.aclosing(_read(client, consumer, ends)) as found:
            seen: RecentIds[bytes] = RecentIds(client.settings.remember_ids)
            named = key.encode()
            async for place, one in found:
                if one.key != named or one.at_s < since_s:
                    continue
                if one.event_id and not seen.add(one.event_id):
                    continue
                record = readable(place, one.offset, one.at_s, one.value)
                if record is not None:
                    yield record
    finally:
        await client.let_go(consumer.stop())


async def _seek(
    client: KafkaClient, consumer: Any, places: Sequence[TopicPartition], since_s: float
) -> dict[TopicPartition, int]:
    """Go to where reading begins; return where it ends, for those that hold anything."""
    asked = [client.at_broker(place) for place in places]
    begins = await client.ask(consumer.beginning_offsets(asked))
    ends = await client.ask(consumer.end_offsets(asked))
    from_s = min(since_s, time.time()) - _SKEW_S
    if from_s > 0:
        told = dict.fromkeys(asked, round(from_s * 1000))
        for place, found in (await client.ask(consumer.offsets_for_times(told))).items():
            begins[place] = ends[place] if found is None else found.offset
    for place in asked:
        consumer.seek(place, begins[place])
    return {client.ours(place): ends[place] for place in asked if begins[place] < ends[place]}


async def _read(
    client: KafkaClient, consumer: Any, ends: Mapping[TopicPartition, int]
) -> AsyncGenerator[tuple[TopicPartition, Arrived]]:
    open_ones = dict(ends)
    patient_until_s = _now() + client.settings.stall_s
    while open_ones:
        found = await client.ask(
            consumer.getmany(
                *map(client.at_broker, open_ones),
                timeout_ms=round(_POLL_S * 1000),
                max_records=_READ_MAX,
            )
        )
        for kafka_place, records in found.items():
            place = client.ours(kafka_place)
            for record in records:
                if record.offset < open_ones[place]:
                    yield place, arrived(record)
        for place in list(open_ones):
            # Not every offset has a record: the position also passes over those that have none.
            if await client.ask(consumer.position(client.at_broker(place))) >= open_ones[place]:
                del open_ones[place]
        if found:
            patient_until_s = _now() + client.settings.stall_s
        elif open_ones and _now() > patient_until_s:
            raise BusError(f"Kafka gives nothing of what {next(iter(open_ones))} holds")


def _now() -> float:
    return asyncio.get_running_loop().time()
