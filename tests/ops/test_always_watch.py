"""A channel that goes live is watched by itself within half a minute, on Twitch's doubles."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bus.local import LocalBus
from bus.settings import LocalBusSettings
from bus.stage import Ctx
from ingest.watch import Watch, WatchTarget
from ops.channels import KeepWatching, NoHints
from tests.doubles.fake_timer import FakeTimer
from tests.ingest.twitch_world import world_of
from tests.ingest.world import DictObjects

LIMIT_S = 30.0


class Waits(NoHints):
    """Hears of nothing, in pretended time; it passes while the next look is waited for."""

    def __init__(self, timer: FakeTimer) -> None:
        self._timer = timer
        self.are_on = False

    async def changed(self, login: str, timeout_s: float) -> None:
        self.are_on = True
        await self._timer.sleep(timeout_s)
        self.are_on = False


@pytest.mark.parametrize("live_after_s", [0.0, 40.1, 47.0, 59.9])
@pytest.mark.parametrize("chance", [0.0, 1.0])
async def test_it_starts_by_itself_within_half_a_minute(
    tmp_path: Path, live_after_s: float, chance: float
) -> None:
    settings = LocalBusSettings(synchronous="NORMAL")
    async with (
        world_of() as world,
        LocalBus.open(tmp_path / "bus.db", settings, clock=world.timer.now) as bus,
    ):
        channel, stop, found = world.twitch.channel("ann"), asyncio.Event(), asyncio.Event()
        waits = Waits(world.timer)
        world.waits_for = lambda: not waits.are_on and not found.is_set()

        async def make_watch() -> Watch:
            target = WatchTarget(tenant_id="t", channel_id="c")
            source, objects = world.live("ann"), DictObjects()
            watch = Watch(target, source, None, objects, world.ingest, world.timer.now, stop)
            watch.watching = found
            return watch

        keep = KeepWatching(
            "ann", make_watch, login="ann", hints=waits, stop=stop, chance=lambda: chance
        )
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(keep.run(Ctx(bus=bus)))
            await world.timer.sleep(live_after_s)
            channel.go_live("b1")
            live_s = world.timer.now()
            await found.wait()
            assert world.timer.now() - live_s <= LIMIT_S
            stop.set()
        assert {each.login for each in world.twitch.playbacks.values()} == {"ann"}
