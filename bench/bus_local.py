"""How many events a second the local bus takes and gives, on this machine's disk.

Run `.venv/bin/python -m bench.bus_local [--folder DIR]`; the folder decides which disk it is.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bus.codec import decode, encode
from bus.events import ChatWindow, Event
from bus.local import LocalBus
from bus.settings import LocalBusSettings

Synchronous = Literal["FULL", "NORMAL"]


def windows(count: int, name: str) -> list[Event]:
    """Return so many different chat windows of about 400 bytes."""
    return [
        ChatWindow(
            tenant_id="bench",
            channel_id=f"channel-{n % 8}",
            session_id=name,
            media_s=float(n),
            messages=n,
            samples=("some words that a viewer typed", "and some more of them"),
        )
        for n in range(count)
    ]


async def publish(bus: LocalBus, events: Sequence[Event], batch: int, writers: int) -> float:
    """Publish in batches by so many writers at once; return events per second."""
    batches = [events[at : at + batch] for at in range(0, len(events), batch)]
    began_s = time.perf_counter()

    async def write(mine: Sequence[Sequence[Event]]) -> None:
        for each in mine:
            await bus.publish(each)

    await asyncio.gather(*(write(batches[n::writers]) for n in range(writers)))
    return len(events) / (time.perf_counter() - began_s)


async def consume(bus: LocalBus, group: str, count: int) -> float:
    """Read and commit everything by one member; return events per second."""
    began_s = time.perf_counter()
    async with bus.subscribe(group, ["chat"]) as subscription:
        left = count
        while left > 0:
            records = await subscription.fetch(200, 5.0)
            await subscription.commit({record.place: record.offset + 1 for record in records})
            left -= len(records)
    return count / (time.perf_counter() - began_s)


async def wake_ms(bus: LocalBus, count: int) -> tuple[float, float]:
    """Return the median and the 95th percentile from publish to the waiting reader."""
    waits: list[float] = []
    async with bus.subscribe("wake", ["chat"]) as subscription:
        while await subscription.fetch(500, 0.0):
            pass
        for event in windows(count, "wake"):
            waiting = asyncio.create_task(subscription.fetch(10, 5.0))
            await asyncio.sleep(0.002)
            began_s = time.perf_counter()
            await bus.publish([event])
            await waiting
            waits.append((time.perf_counter() - began_s) * 1000)
    waits.sort()
    return waits[len(waits) // 2], waits[round(len(waits) * 0.95)]


async def measure(folder: Path, synchronous: Synchronous) -> None:
    settings = LocalBusSettings(synchronous=synchronous)
    async with LocalBus.open(folder / f"{synchronous}.db", settings) as bus:
        rows = [
            ("publish one by one, 1 writer", 500, 1, 1),
            ("publish one by one, 32 writers", 4_000, 1, 32),
            ("publish batches of 100, 1 writer", 20_000, 100, 1),
        ]
        total = 0
        for label, count, batch, writers in rows:
            speed = await publish(bus, windows(count, label), batch, writers)
            total += count
            print(f"{synchronous:<8}{label:<36}{speed:>10,.0f} events/s")
        speed = await consume(bus, "reader", total)
        print(f"{synchronous:<8}{'fetch 200, decode, commit':<36}{speed:>10,.0f} events/s")
        median_ms, high_ms = await wake_ms(bus, 200)
        print(
            f"{synchronous:<8}{'publish to a waiting reader':<36}{median_ms:>8.1f} ms median,"
            f" {high_ms:.1f} ms at 95 %"
        )


def measure_codec() -> None:
    events = windows(14_400, "codec")
    began_s = time.perf_counter()
    values = [encode(event) for event in events]
    middle_s = time.perf_counter()
    for value in values:
        decode(value)
    done_s = time.perf_counter()
    print(f"{'':<8}{'encode 4 h of chat windows':<36}{middle_s - began_s:>10.3f} s")
    print(f"{'':<8}{'decode 4 h of chat windows':<36}{done_s - middle_s:>10.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None)
    where = parser.parse_args().folder
    measure_codec()
    with tempfile.TemporaryDirectory(dir=where) as folder:
        for synchronous in ("FULL", "NORMAL"):
            asyncio.run(measure(Path(folder), synchronous))


if __name__ == "__main__":
    main()
