"""The lease desk: from RenderQueued to a lease, and from a result to the bus, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bus.events import Event, RenderFailed, SessionStarted
from bus.local import LocalBus
from bus.ports import Record
from bus.stage import Ctx
from store.leases import Lease, Want
from store.state.apply import record
from store.state.lease_desk import LeaseDesk
from store.state.lease_outbox import publish_results
from tests.store.leases.world import (
    TENANT,
    Numbers,
    Outlet,
    World,
    failed,
    finished,
    queued,
    want_renders,
    work,
)

RENDERS = Want(kind="render", capacity=10)


@pytest.fixture
def world(book_world: World) -> World:
    return book_world


def records(*events: Event) -> list[Record]:
    return [Record(event.TOPIC, 0, number, 0.0, event) for number, event in enumerate(events)]


async def take(world: World, worker: str = "a") -> list[Lease]:
    return await world.connect(worker).acquire(RENDERS)


async def test_what_is_queued_can_be_leased_and_its_result_is_published(
    world: World, tmp_path: Path
) -> None:
    class Told(Numbers):
        """Tells when results have been published."""

        published = asyncio.Event()

        def count(self, name: str, by: float = 1.0, **labels: str) -> None:
            super().count(name, by, **labels)
            if name == "clipthat_lease_results_published_total":
                self.published.set()

    class Noting(LeaseDesk):
        """Tells when it has put something into the book."""

        noted = asyncio.Event()

        async def note(self, records: Sequence[Record]) -> None:
            await super().note(records)
            self.noted.set()

    told = Told()
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        ctx = Ctx(bus=bus, meter=told)
        desk = Noting(world.book, round_s=0.01, look_s=0.01)
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(desk.run(ctx))
            await bus.publish([queued("r1")])
            await desk.noted.wait()
            leases = await take(world)
            await world.connect("a").complete(leases[0], work(finished(leases[0])))
            await told.published.wait()
            ctx.draining.set()
        async with bus.subscribe("after", ["renders"]) as subscription:
            seen = await subscription.fetch(10, 10.0)
    assert [type(one.event).__name__ for one in seen] == ["RenderQueued", "RenderFinished"]
    assert seen[1].event == finished(leases[0])
    assert told.gauges


async def test_what_comes_again_is_not_made_again(world: World) -> None:
    desk = LeaseDesk(world.book)
    await desk.note(records(queued("r1")))
    (lease,) = await take(world)
    await world.connect("a").complete(lease, work(finished(lease)))
    await desk.note(records(queued("r1")))
    assert await take(world) == []
    await publish_results(world.state, Outlet(), TENANT)
    await desk.note(records(queued("r1"), finished(lease)))
    await desk.note(records(queued("r1")))
    assert await take(world) == []


@pytest.mark.parametrize("how", [finished, failed])
@pytest.mark.parametrize("together", [True, False])
async def test_what_was_made_before_there_was_a_book_is_not_made_again(
    world: World, how: object, together: bool
) -> None:
    desk = LeaseDesk(world.book)
    lease = Lease(
        kind="render", id="r1", token=1, good_for_s=1.0, tenant_id=TENANT, work=work(queued("r1"))
    )
    told = finished(lease) if how is finished else failed(lease)
    batches = [records(queued("r1"), told)] if together else [records(queued("r1")), records(told)]
    for batch in batches:
        await desk.note(batch)
    await desk.note(records(queued("r1")))
    assert await take(world) == []
    assert await publish_results(world.state, Outlet(), TENANT) == 0


async def test_whoever_makes_what_is_made_already_is_told_so(world: World) -> None:
    desk = LeaseDesk(world.book)
    await desk.note(records(queued("r1")))
    (lease,) = await take(world)
    await desk.note(records(finished(lease)))
    assert (await world.connect("a").heartbeat([lease])).lost == ("r1",)


async def test_live_sessions_go_before_replays(world: World) -> None:
    sessions = (("vod", "vod"), ("file", "file"), ("live", "live"))
    started = [
        SessionStarted(
            tenant_id=TENANT, channel_id="ch1", session_id=name, kind=kind, title="", source=""
        )  # type: ignore[arg-type]
        for name, kind in sessions
    ]
    await record(world.state, records(*started))
    desk = LeaseDesk(world.book)
    for name, _ in (*sessions, ("unknown", "")):
        await desk.note(records(queued(name, session_id=name)))
        world.clock.now_s += 1
    assert [lease.id for lease in await take(world)] == ["live", "unknown", "vod", "file"]


async def test_another_tenants_renders_are_left_to_its_own_book(world: World) -> None:
    await LeaseDesk(world.book).note(records(queued("r1", tenant_id="other")))
    assert await take(world) == []


async def test_a_crash_between_publishing_and_noting_publishes_the_same_event_again(
    world: World, tmp_path: Path
) -> None:
    class Crashing(Outlet):
        def __init__(self, bus: LocalBus) -> None:
            super().__init__()
            self.bus = bus

        async def publish(self, events: Sequence[Event]) -> None:
            await self.bus.publish(events)
            raise ConnectionError("killed here")

    await want_renders(world.book, "r1", "r2")
    for lease in await take(world):
        how = finished if lease.id == "r1" else failed
        await world.connect("a").complete(lease, work(how(lease)))
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await publish_results(world.state, Crashing(bus), TENANT)
        assert await publish_results(world.state, bus, TENANT) == 2
        assert await publish_results(world.state, bus, TENANT) == 0
        async with bus.subscribe("after", ["renders"]) as subscription:
            seen = await subscription.fetch(100, 10.0)
            seen += await subscription.fetch(100, 0.0)
    assert sorted(type(one.event).__name__ for one in seen) == ["RenderFailed", "RenderFinished"]


async def test_an_events_id_is_not_the_workers_to_choose(world: World) -> None:
    await want_renders(world.book, "r1")
    (lease,) = await take(world)
    told = {**work(finished(lease)), "event_id": "as I like"}
    await world.connect("a").complete(lease, told)
    outlet = Outlet()
    await publish_results(world.state, outlet, TENANT)
    assert outlet.events == [finished(lease)]


async def test_more_results_than_one_round_takes_are_all_published(world: World) -> None:
    names = [f"r{n:03d}" for n in range(230)]
    await LeaseDesk(world.book).note(records(*map(queued, names)))
    leases = await world.connect("a").acquire(Want(kind="render", capacity=1_000))
    assert [lease.id for lease in leases] == names
    for lease in leases:
        await world.connect("a").complete(lease, work(finished(lease)))
    outlet = Outlet()
    rounds = [await publish_results(world.state, outlet, TENANT) for _ in range(4)]
    assert rounds == [100, 100, 30, 0]
    assert sorted(event.render_id for event in outlet.events) == names


async def test_gauges_say_how_the_book_stands(world: World) -> None:
    desk, numbers = LeaseDesk(world.book), Numbers()
    await desk.note(records(queued("r1"), queued("r2")))
    (lease,) = await world.connect("a").acquire(Want(kind="render", capacity=1))
    world.clock.now_s += 12
    await desk.tell(numbers)

    def told(state: str) -> float:
        return numbers.told("clipthat_leases", kind="render", pool="cpu", state=state)

    assert (told("queued"), told("held"), told("expired")) == (1, 1, 0)
    oldest = "clipthat_lease_oldest_wait_seconds"
    assert numbers.told(oldest, kind="render", pool="cpu") == 12.0
    assert numbers.told("clipthat_lease_workers", kind="render", pool="cpu") == 1
    await world.connect("a").complete(lease, work(finished(lease)))
    await desk.note(records(finished(lease), _failed("r2")))
    world.clock.now_s += 100
    await desk.tell(numbers)
    assert (told("queued"), told("held"), told("expired")) == (0, 0, 0)
    assert numbers.told(oldest, kind="render", pool="cpu") == 0.0
    assert numbers.told("clipthat_lease_workers", kind="render", pool="cpu") == 0


def _failed(render_id: str) -> RenderFailed:
    return RenderFailed(
        tenant_id=TENANT,
        channel_id="ch1",
        session_id="s1",
        render_id=render_id,
        clip_id="c",
        layout="vertical_blur",
        reason="x",
    )
