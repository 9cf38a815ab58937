"""One broadcast is one session through kills, flaps and restarts, over real HTTP and a real bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.events import Event, SegmentMissing, SegmentStored, SessionEnded, SessionStarted
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from bus.stage import Ctx
from ingest.errors import SourceOffline
from ingest.settings import IngestSettings
from ingest.watch import Watch, WatchTarget
from tests.doubles.twitch.playlists import Channel
from tests.ingest.twitch_world import World, world_of
from tests.ingest.world import DictObjects, check_whole


class Place:
    """A channel, and the bus on which its sessions are told."""

    def __init__(self, world: World, bus: LocalBus) -> None:
        self.world = world
        self.bus = bus
        self.channel: Channel = world.twitch.channel("ann")
        self.channel.go_live("b1")
        self.objects = DictObjects()

    def watch(self, stop_after_s: float | None = None) -> asyncio.Task[None]:
        """Start watching, as a process would after it has been started."""
        return asyncio.create_task(self.made(stop_after_s).run(Ctx(bus=self.bus)))

    def made(self, stop_after_s: float | None = None) -> Watch:
        """Return a watch."""
        return Watch(
            WatchTarget(tenant_id="t", channel_id="c", stop_after_s=stop_after_s),
            self.world.live("ann"),
            None,
            self.objects,
            IngestSettings(),
            self.world.timer.now,
            asyncio.Event(),
            flap_s=300.0,
        )

    async def watch_and_kill(self, spans: int) -> None:
        """Watch until so many spans are told, then die."""
        run = self.watch()
        async with self.bus.subscribe(f"killer-{id(run)}", ("segments",)) as log:
            seen = 0
            while seen < spans:
                seen += len(await log.fetch(100, 1.0))
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    async def told(self) -> tuple[list[SessionStarted], list[SessionEnded], list[Event]]:
        """Return starts, ends and spans."""
        found: list[Event] = []
        async with self.bus.subscribe(f"look-{id(found)}", ("sessions", "segments")) as log:
            while records := await log.fetch(1000, 0.05):
                found += [record.event for record in records]
        return (
            [e for e in found if isinstance(e, SessionStarted)],
            [e for e in found if isinstance(e, SessionEnded)],
            [e for e in found if isinstance(e, SegmentStored | SegmentMissing)],
        )


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with world_of() as world:
        settings = LocalBusSettings(synchronous="NORMAL")
        clock = world.timer.now
        async with LocalBus.open(tmp_path / "bus.db", settings, clock=clock) as bus:
            yield Place(world, bus)


async def test_a_killed_watch_goes_on_though_the_list_counts_otherwise(place: Place) -> None:
    place.world.twitch.first_seqs = iter([700, 2])
    await place.watch_and_kill(12)
    await place.watch(stop_after_s=60)
    starts, ends, spans = await place.told()
    [started] = starts
    assert (started.broadcast_id, started.source) == ("b1", "twitch.tv/ann")
    assert [e.reason for e in ends] == ["stopped"]
    check_whole(spans)  # type: ignore[arg-type]
    dates = [round(s.pdt_s, 1) for s in spans if isinstance(s, SegmentStored) and s.pdt_s]
    assert dates == sorted(set(dates))


async def test_a_restart_within_a_flap_continues_the_broadcast(place: Place) -> None:
    await place.watch_and_kill(8)
    place.channel.go_offline()
    await place.world.timer.sleep(100)
    with pytest.raises(SourceOffline):
        await place.watch()
    await place.world.timer.sleep(100)
    place.channel.come_back()
    await place.world.timer.sleep(6)
    await place.watch(stop_after_s=300)
    starts, ends, spans = await place.told()
    assert len(starts) == 1
    assert [e.reason for e in ends] == ["stopped"]
    check_whole(spans)  # type: ignore[arg-type]
    gaps = [s.duration_s for s in spans if isinstance(s, SegmentMissing)]
    assert sum(gaps) == pytest.approx(200, abs=4)


async def test_a_broadcast_that_stays_away_is_ended_after_a_flaps_time(place: Place) -> None:
    await place.watch_and_kill(8)
    place.channel.go_offline()
    ctx = Ctx(bus=place.bus)
    await place.world.timer.sleep(270)
    assert not await place.made().end_lost(ctx)
    await place.world.timer.sleep(60)
    assert await place.made().end_lost(ctx)
    _, ends, _ = await place.told()
    assert [e.reason for e in ends] == ["lost"]


async def test_a_restart_after_a_flaps_time_is_another_session(place: Place) -> None:
    await place.watch_and_kill(8)
    place.channel.go_offline()
    await place.world.timer.sleep(400)
    place.channel.come_back()
    await place.world.timer.sleep(6)
    await place.watch(stop_after_s=20)
    starts, ends, _ = await place.told()
    assert [s.broadcast_id for s in starts] == ["b1", "b1"]
    assert len({s.session_id for s in starts}) == 2
    assert [(e.session_id, e.reason) for e in ends] == [
        (starts[0].session_id, "lost"),
        (starts[1].session_id, "stopped"),
    ]


async def test_another_broadcast_is_another_session_at_once(place: Place) -> None:
    await place.watch_and_kill(8)
    place.channel.go_live("b2")
    await place.watch(stop_after_s=20)
    starts, ends, _ = await place.told()
    assert [s.broadcast_id for s in starts] == ["b1", "b2"]
    assert [(e.session_id, e.reason) for e in ends] == [
        (starts[0].session_id, "ended"),
        (starts[1].session_id, "stopped"),
    ]
