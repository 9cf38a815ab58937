"""The ingest role: watches what it holds, and writes under a good lease alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bus.events import ChannelDegraded, Event
from bus.stage import Ctx
from ops.leased_ingest import LeasedIngest
from ops.supervisor import SupervisorSettings
from store.channel_work import ChannelWork
from store.fenced import FencedObjects
from store.held_lease import HeldLease
from store.leases import LeaseLost
from tests.doubles.hand_timer import HandTimer
from tests.doubles.leases import GOOD_S, Desk
from tests.render.fakes import MemoryObjects

QUICK = SupervisorSettings(restart_first_s=0.01, restart_max_s=0.01, drain_s=60.0)
LIMIT_S = 60.0
BEAT_S = 4.0


@dataclass
class Bus:
    """Notes what is published."""

    published: list[Event] = field(default_factory=list)

    async def publish(self, events: Sequence[Event]) -> None:
        self.published += events


def told(channel: str) -> ChannelDegraded:
    return ChannelDegraded(
        tenant_id="acme", channel_id=channel, session_id="s", media_s=0.0, reason="r", detail=""
    )


class Stream:
    """A watch that writes whenever a test wants it to."""

    name = "watch"

    def __init__(self, world: World, work: ChannelWork, held: HeldLease, stop: asyncio.Event):
        self._world, self._work, self._stop = world, work, stop
        self._objects = FencedObjects(world.objects, held.check)
        self.watching = asyncio.Event()

    async def run(self, ctx: Ctx) -> None:
        world, name = self._world, self._work.name
        if name in world.breaks:
            world.breaks.remove(name)
            raise ValueError("a fault of ours")
        self.watching.set()
        world.note(f"{name} began")
        events = (self._stop, ctx.draining, world.due)
        waits = [asyncio.create_task(each.wait()) for each in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if world.due.is_set():
                await self._write(ctx)
            world.note(f"{name} {'stopped' if self._stop.is_set() else 'drained'}")
        except asyncio.CancelledError:
            world.note(f"{name} was cut off")
            raise
        finally:
            for wait in waits:
                wait.cancel()

    async def _write(self, ctx: Ctx) -> None:
        try:
            await self._objects.put("segment", b"bytes")
            await ctx.bus.publish([told(self._work.id)])
        except LeaseLost:
            self._world.note(f"{self._work.name} was fenced")
            raise

    async def end_lost(self, ctx: Ctx) -> bool:
        return True


class World:
    """A stage that runs, its leases and what has happened."""

    def __init__(self) -> None:
        self.desk, self.timer, self.bus = Desk(), HandTimer(), Bus()
        self.objects = MemoryObjects()
        self.leave = asyncio.Event()
        self.due = asyncio.Event()
        """Set: every watch writes once."""
        self.breaks: list[str] = []
        self.happened: list[str] = []
        self._news = asyncio.Event()
        self.ctx = Ctx(bus=self.bus)  # type: ignore[arg-type]

    def note(self, what: str) -> None:
        self.happened.append(what)
        self._news.set()

    def put(self, *names: str) -> None:
        for name in names:
            url = f"https://example.org/{name}.m3u8"
            work = ChannelWork(id=name, name=name, url=url, kind="hls")
            self.desk.works[name] = work.as_json()
            self.desk.waiting.append(name)

    async def make(self, work: ChannelWork, held: HeldLease, stop: asyncio.Event) -> Stream:
        return Stream(self, work, held, stop)

    async def until(self, what: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while what not in self.happened:
                self._news.clear()
                await self._news.wait()

    async def given_back(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            await self.desk.news.wait()

    @asynccontextmanager
    async def running(self, *names: str, channels_max: int = 5) -> AsyncIterator[LeasedIngest]:
        self.put(*names)
        stage = LeasedIngest(
            self.make,
            self.desk,
            QUICK,
            channels_max=channels_max,
            beat_s=BEAT_S,
            leave=self.leave,
            look_every_s=0.01,
            timer=self.timer,
        )
        async with asyncio.timeout(2 * LIMIT_S), asyncio.TaskGroup() as group:
            group.create_task(stage.run(self.ctx))
            yield stage
            self.ctx.draining.set()


async def test_channels_are_watched_and_given_back_after_their_watches_have_ended() -> None:
    world = World()
    async with world.running("ann", "bob", "eve", channels_max=2) as stage:
        await world.until("ann began")
        await world.until("bob began")
        for _ in range(10):
            await asyncio.sleep(0)
        assert stage.states == {"ann": "watching", "bob": "watching"}
    assert sorted(world.happened[2:]) == ["ann drained", "bob drained"]
    assert sorted(world.desk.said) == [("drain", "ann"), ("drain", "bob")]
    assert stage.states == {}


async def test_a_channel_that_is_not_wanted_any_more_ends_its_session() -> None:
    world = World()
    async with world.running("ann"):
        await world.until("ann began")
        world.desk.stop.append("ann")
        world.timer.advance(BEAT_S)
        await world.until("ann stopped")
        await world.given_back()
        assert world.desk.results == {"ann": {}}
    assert "ann drained" not in world.happened


async def test_a_channel_that_is_anothers_by_now_is_cut_off() -> None:
    world = World()
    async with world.running("ann", "bob"):
        await world.until("ann began")
        await world.until("bob began")
        world.desk.lost.append("ann")
        world.timer.advance(BEAT_S)
        await world.until("ann was cut off")
    assert [work for _, work in world.desk.said] == ["bob"]
    assert "bob drained" in world.happened


async def test_a_machine_that_is_taken_away_does_not_wait_for_its_watches() -> None:
    world = World()
    async with world.running("ann"):
        await world.until("ann began")
        world.leave.set()
        world.ctx.draining.set()
        await world.given_back()
    assert world.desk.said == [("preempted", "ann")]


async def test_a_watch_writes_while_its_lease_is_good() -> None:
    world = World()
    async with world.running("ann"):
        await world.until("ann began")
        world.due.set()
        await world.until("ann drained")
    assert world.bus.published
    assert set(world.objects.kept) == {"segment"}


async def test_a_watch_that_was_frozen_writes_nothing_and_is_not_begun_again() -> None:
    world = World()
    async with world.running("ann"):
        await world.until("ann began")
        # It thaws behind the end of its lease, and its next write is due before all else.
        world.timer.now_s += GOOD_S
        world.due.set()
        await world.until("ann was fenced")
        world.timer.advance(0.0)
        await asyncio.sleep(0)
    assert world.bus.published == []
    assert world.objects.kept == {}
    assert world.happened.count("ann began") == 1


async def test_a_watch_that_breaks_touches_no_other_and_begins_again() -> None:
    world = World()
    world.breaks += ["ann", "ann"]
    async with world.running("ann", "bob"):
        await world.until("bob began")
        await world.until("ann began")
    assert world.desk.tokens == {"ann": 1, "bob": 1}


@pytest.mark.parametrize("read", ["get", "list"])
async def test_reading_needs_no_lease(read: str) -> None:
    def check() -> None:
        raise LeaseLost("over")

    objects = MemoryObjects()
    objects.kept["folder/a"] = b"bytes"
    fenced = FencedObjects(objects, check)
    if read == "get":
        assert await fenced.get("folder/a") == b"bytes"
    else:
        assert [one.key for one in await fenced.list("folder")] == ["folder/a"]
    with pytest.raises(LeaseLost):
        await fenced.delete(["folder/a"])
    assert objects.kept
