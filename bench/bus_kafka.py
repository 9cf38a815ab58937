"""What the bus over Kafka costs beside bare aiokafka that does the same work, in one run.

Run `.venv/bin/python -m bench.bus_kafka [--bootstrap HOST:PORT]`; without an address a broker is
started for it. CPU is this process's own; the broker has its own process. What starting, joining
and leaving take is measured by itself, with one event, and taken off.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.bus_local import windows
from bus.codec import decode, encode, headers
from bus.events import Event
from bus.kafka import KafkaBus
from bus.kafka_settings import KafkaSettings
from bus.topics import TOPICS
from tests.services.kafka_server import KafkaServer, why_no_kafka

COUNT = 60_000
BATCH = 100
ROUNDS = 3

Way = Callable[[int], Awaitable[None]]
"""Does its work for so many events."""


async def bare_publish(bootstrap: str, topic: str, events: Sequence[Event]) -> None:
    """Send as one would with the library: a future for each event, a batch at a time."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=5,
        max_batch_size=131072,
    )
    await producer.start()
    try:
        for at in range(0, len(events), BATCH):
            now_s = time.time()
            sent = [
                await producer.send(
                    topic,
                    encode(event),
                    key=event.key.encode(),
                    headers=headers(event, at_s=now_s),
                    partition=TOPICS["chat"].partition_of(event.key),
                )
                for event in events[at : at + BATCH]
            ]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def bare_consume(bootstrap: str, topic: str, count: int) -> None:
    """Read, decode and commit as one would with the library."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=f"{topic}-{count}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        while count > 0:
            found = await consumer.getmany(timeout_ms=1000, max_records=200)
            cursors: dict[TopicPartition, int] = {}
            for place, records in found.items():
                for record in records:
                    decode(record.value)
                cursors[place] = records[-1].offset + 1
                count -= len(records)
            if cursors:
                await consumer.commit(cursors)
    finally:
        await consumer.stop()


async def our_publish(settings: KafkaSettings, folder: Path, events: Sequence[Event]) -> None:
    """Publish batch by batch."""
    async with KafkaBus.open(folder, settings) as bus:
        for at in range(0, len(events), BATCH):
            await bus.publish(events[at : at + BATCH])


async def our_consume(
    settings: KafkaSettings, folder: Path, topics: Sequence[str], count: int
) -> None:
    """Read and commit."""
    async with (
        KafkaBus.open(folder, settings) as bus,
        bus.subscribe(f"ours-{len(topics)}-{count}", topics) as subscription,
    ):
        while count > 0:
            records = await subscription.fetch(200, 5.0)
            await subscription.commit({record.place: record.offset + 1 for record in records})
            count -= len(records)


def steady(way: Way) -> tuple[float, float]:
    """Return the seconds of CPU and of the clock for `COUNT` events, without the start."""
    start = measured(way, 1)
    whole = measured(way, COUNT)
    return whole[0] - start[0], whole[1] - start[1]


def measured(way: Way, count: int) -> tuple[float, float]:
    """Return the seconds of CPU and of the clock that something took."""
    before, began_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()

    async def run() -> None:
        await way(count)

    asyncio.run(run())
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s, time.perf_counter() - began_s


@contextlib.contextmanager
def broker(bootstrap: str | None, folder: Path) -> Iterator[str]:
    """Give the address of a broker."""
    if bootstrap is not None:
        yield bootstrap
        return
    reason = why_no_kafka()
    if reason:
        raise SystemExit(reason)
    server = KafkaServer(folder / "broker")
    try:
        server.start()
        yield server.bootstrap
    finally:
        server.stop()


def ways_of(address: str, folder: Path) -> dict[str, Way]:
    """Return what is compared, each on topics of its own."""
    mark = uuid.uuid4().hex[:8]
    ours = KafkaSettings(bootstrap=address, prefix=f"{mark}.ours.")
    bare = KafkaSettings(bootstrap=address, prefix=f"{mark}.bare.")
    events, topic = windows(COUNT, mark), f"{bare.prefix}chat"
    for settings in (bare, ours):
        asyncio.run(our_publish(settings, folder, windows(1, "first")))
    return {
        "publish, bare": lambda n: bare_publish(address, topic, events[-n:]),
        "publish, ours": lambda n: our_publish(ours, folder, events[-n:]),
        "consume, bare": lambda n: bare_consume(address, topic, n),
        "consume, ours": lambda n: our_consume(ours, folder, ["chat"], n),
        "consume, ours, two topics": lambda n: our_consume(ours, folder, ["chat", "sessions"], n),
    }


def main() -> None:
    """Print a row for each way, the best of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default=None)
    bootstrap = parser.parse_args().bootstrap
    best: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name, broker(bootstrap, Path(name)) as address:
        for turn in range(ROUNDS):
            folder = Path(name) / f"outbox-{turn}"
            for label, way in ways_of(address, folder).items():
                best[label] = min(best.get(label, (1e9, 0.0)), steady(way))
    for label, (cpu_s, clock_s) in best.items():
        reference = best[f"{label.split(',')[0]}, bare"][0]
        print(
            f"{label:<28}{cpu_s / COUNT * 1e6:>8.1f} µs CPU/event{cpu_s / reference:>7.2f} ×"
            f"{COUNT / clock_s:>10,.0f} events/s"
        )


if __name__ == "__main__":
    main()
