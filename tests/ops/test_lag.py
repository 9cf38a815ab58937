"""What monitors are told of how far readers are behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bus.local import LocalBus
from bus.settings import LocalBusSettings
from bus.stage import Ctx
from ops.lag import LagWatch
from ops.metrics import PrometheusMeter
from tests.bus.world import SteppedClock, windows

FAST = LocalBusSettings(synchronous="NORMAL")


def told(meter: PrometheusMeter) -> list[str]:
    lines = meter.exposition().decode().splitlines()
    return [line for line in lines if line.startswith("clipthat_bus_lag")]


async def test_a_reader_tells_how_many_and_how_old(tmp_path: Path) -> None:
    clock, meter = SteppedClock(), PrometheusMeter()
    async with LocalBus.open(tmp_path / "bus.db", FAST, clock=clock) as bus:
        ctx = Ctx(bus=bus, meter=meter)
        watch = LagWatch(["g", "nobody"])
        await bus.publish(windows(6))
        async with bus.subscribe("g", ["chat"]) as subscription:
            records = await subscription.fetch(10, 60.0)
            clock.step(90.0)
            await watch.look(ctx)
            assert told(meter) == [
                'clipthat_bus_lag_messages{group="g"} 6.0',
                'clipthat_bus_lag_seconds{group="g"} 90.0',
            ]
            await subscription.commit({records[-1].place: records[-1].offset + 1})
            await watch.look(ctx)
            assert told(meter) == [
                'clipthat_bus_lag_messages{group="g"} 0.0',
                'clipthat_bus_lag_seconds{group="g"} 0.0',
            ]


class Ending(PrometheusMeter):
    """A meter that ends the work as soon as it is told something."""

    def __init__(self, draining: asyncio.Event) -> None:
        super().__init__()
        self._draining = draining

    def gauge(self, name: str, value: float, **labels: str) -> None:
        super().gauge(name, value, **labels)
        self._draining.set()


@pytest.mark.parametrize("drained_before", [True, False])
async def test_it_ends_when_it_is_drained(tmp_path: Path, drained_before: bool) -> None:
    draining = asyncio.Event()
    meter = Ending(draining)
    async with LocalBus.open(tmp_path / "bus.db", FAST) as bus:
        await bus.publish(windows(1))
        async with bus.subscribe("g", ["chat"]) as subscription:
            await subscription.fetch(10, 60.0)
            if drained_before:
                draining.set()
            watch = LagWatch(["g"], every_s=3600.0)
            await watch.run(Ctx(bus=bus, meter=meter, draining=draining))
        assert bool(told(meter)) is not drained_before
