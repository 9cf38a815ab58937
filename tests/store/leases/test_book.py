"""Who is given what: shares of channels, pools, work that kills its workers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from bus.errors import MalformedEvent
from bus.events import RenderFailed
from store.lease_settings import LeaseSettings
from store.leases import LeasesAway, Pool, Want
from store.state.lease_choice import database_clock
from store.state.lease_outbox import publish_results
from store.state.lease_rules import WORKER_LOST, fair_share
from store.state.lease_views import LeaseStand, LeaseViews
from store.state.state import State
from tests.store.leases.world import TENANT, Outlet, World, open_world, queued, want_renders, work
from tests.store.state.fresh import fresh_database


@pytest.fixture
def world(book_world: World) -> World:
    return book_world


async def take(
    world: World, worker: str, capacity: int = 100, *, kind: str = "ingest", pool: Pool = "cpu"
) -> list[str]:
    want = Want(kind="ingest" if kind == "ingest" else "render", capacity=capacity, pool=pool)
    return [lease.id for lease in await world.book.acquire(worker, want)]


async def want_channels(world: World, count: int) -> None:
    for number in range(count):
        await world.book.want("ingest", f"ch{number:02d}", {"url": "u"})


def views(world: World) -> LeaseViews:
    return LeaseViews(world.state, tenant_id=TENANT, clock=world.clock)


async def test_channels_are_shared_among_those_that_have_room(world: World) -> None:
    for worker in "abc":
        assert await take(world, worker, 50) == []
    await want_channels(world, 10)
    shares = [len(await take(world, worker, 50)) for worker in "abcabc"]
    assert shares[:3] == [4, 4, 2]
    assert sum(shares) == 10


async def test_a_worker_without_room_or_word_is_waited_for_by_nobody(world: World) -> None:
    await take(world, "full", 0)
    await take(world, "silent", 50)
    world.clock.now_s += 3.5
    await want_channels(world, 10)
    assert len(await take(world, "a", 50)) == 10


async def test_whoever_has_less_gets_what_comes_new(world: World) -> None:
    await want_channels(world, 6)
    assert len(await take(world, "a", 50)) == 6
    assert await take(world, "b", 50) == []
    await want_channels(world, 8)
    assert await take(world, "a", 50) == []
    assert len(await take(world, "b", 50)) == 2


async def test_small_workers_leave_the_rest_to_large_ones(world: World) -> None:
    for worker, capacity in (("small", 1), ("large", 50)):
        await take(world, worker, capacity)
    await want_channels(world, 10)
    given = {"small": 0, "large": 0}
    for _ in range(3):
        given["small"] += len(await take(world, "small", 1 - given["small"]))
        given["large"] += len(await take(world, "large", 50 - given["large"]))
    assert given == {"small": 1, "large": 9}


async def test_a_dead_workers_channels_are_taken_over_whole(world: World) -> None:
    for worker in "ab":
        await take(world, worker, 50)
    await want_channels(world, 10)
    assert [len(await take(world, worker, 50)) for worker in "ab"] == [5, 5]
    mine = await world.book.acquire("b", Want(kind="ingest", capacity=0))
    assert mine == []
    world.clock.now_s += 15
    assert len(await take(world, "b", 50)) == 10


@pytest.mark.parametrize(
    ("capacity", "free", "mine", "others", "asking", "share"),
    [
        (5, 10, 0, 0, 0, 5),
        (50, 10, 0, 0, 0, 10),
        (50, 10, 0, 0, 1, 5),
        (50, 3, 9, 0, 1, 0),
        (50, 1, 0, 0, 9, 1),
        (50, 0, 0, 5, 1, 0),
    ],
)
def test_shares(capacity: int, free: int, mine: int, others: int, asking: int, share: int) -> None:
    assert fair_share(capacity, free=free, mine=mine, others=others, asking=asking) == share


@pytest.mark.parametrize(
    ("fallback", "takers"),
    [("cpu", {"cpu", "dedicated"}), ("dedicated", {"dedicated"}), ("never", set())],
)
async def test_work_for_a_gpu_falls_back_when_no_such_worker_is_there(
    world: World, fallback: str, takers: set[str]
) -> None:
    world.book.settings = replace(world.book.settings, fallback=fallback)  # type: ignore[arg-type]
    pools: list[Pool] = ["cpu", "dedicated"]
    for pool in pools:
        await want_renders(world.book, pool, pool="gpu")
        taken = await take(world, f"w-{pool}", 1, kind="render", pool=pool)
        assert bool(taken) == (pool in takers)
        fallbacks = world.numbers.counted("clipthat_lease_fallbacks_total", pool=pool)
        assert fallbacks == (pool in takers)
    assert len(await take(world, "w-gpu", 2, kind="render", pool="gpu")) == 2 - len(takers)


async def test_work_for_a_gpu_waits_for_one_that_is_heard_of(world: World) -> None:
    await want_renders(world.book, "r1", pool="gpu")
    await want_renders(world.book, "r2")
    assert await take(world, "g", 0, kind="render", pool="gpu") == []
    assert await take(world, "c", kind="render") == ["r2"]
    for _ in range(5):
        world.clock.now_s += 10
        assert await take(world, "g", 0, kind="render", pool="gpu") == []
        assert "r1" not in await take(world, "c", kind="render")
    world.clock.now_s += 10
    assert "r1" in await take(world, "c", kind="render")


async def test_a_gpu_worker_that_only_renews_is_heard_of_too(world: World) -> None:
    await want_renders(world.book, "r1", pool="gpu")
    held = await world.book.acquire("g", Want(kind="render", capacity=1, pool="gpu"))
    for _ in range(7):
        world.clock.now_s += 10
        await world.book.heartbeat("g", held)
    await want_renders(world.book, "r2", pool="gpu")
    assert await take(world, "c", kind="render") == []


async def test_a_render_that_kills_its_workers_is_given_up(world: World) -> None:
    world.book.settings = LeaseSettings(lost_max=3)
    await want_renders(world.book, "poison")
    for _ in range(4):
        assert await take(world, "a", kind="render") == ["poison"]
        world.clock.now_s += 31
    assert await take(world, "a", kind="render") == []
    outlet = Outlet()
    assert await publish_results(world.state, outlet, TENANT) == 1
    (event,) = outlet.events
    assert isinstance(event, RenderFailed)
    assert (event.render_id, event.reason) == ("poison", WORKER_LOST)
    assert world.numbers.counted("clipthat_leases_given_up_total", kind="render") == 1
    world.clock.now_s += 31
    assert await take(world, "a", kind="render") == []


async def test_a_worker_that_is_preempted_in_time_is_not_counted_as_lost(world: World) -> None:
    world.book.settings = LeaseSettings(lost_max=1)
    await want_renders(world.book, "r1")
    for _ in range(10):
        (lease,) = await world.book.acquire("a", Want(kind="render", capacity=1))
        await world.book.release("a", lease, "preempted")
    assert await take(world, "a", kind="render") == ["r1"]


async def test_a_silent_workers_stopped_channel_is_swept(world: World) -> None:
    await want_channels(world, 1)
    held = await world.book.acquire("a", Want(kind="ingest", capacity=1))
    await world.book.unwant("ingest", "ch00")
    await world.book.sweep()
    assert {name: one.state for name, one in (await views(world).entries("ingest")).items()} == {
        "ch00": "stopping"
    }
    world.clock.now_s += 16
    await world.book.sweep()
    assert await views(world).entries("ingest") == {}
    assert (await world.book.heartbeat("a", held)).lost == ("ch00",)


async def test_how_leases_stand(world: World) -> None:
    await want_renders(world.book, "r1", "r2", "r3")
    await world.book.want("ingest", "ch1", {"url": "u"})
    await take(world, "a", 1, kind="render")
    world.clock.now_s += 20
    await want_renders(world.book, "g1", pool="gpu")
    await take(world, "b", 1, kind="render")
    world.clock.now_s += 15
    assert await views(world).stand() == [
        LeaseStand(kind="ingest", pool="cpu", queued=1, held=0, expired=0, oldest_s=35.0),
        LeaseStand(kind="render", pool="cpu", queued=1, held=1, expired=1, oldest_s=35.0),
        LeaseStand(kind="render", pool="gpu", queued=1, held=0, expired=0, oldest_s=15.0),
    ]
    assert [one.name for one in await views(world).workers(within_s=20)] == ["b"]
    world.clock.now_s += 10_000
    await world.book.sweep()
    assert await views(world).workers(within_s=1e9) == []


async def test_a_render_that_is_no_event_is_not_wanted(world: World) -> None:
    for wrong in ({}, {**work(queued()), "type": "clipthat.render.failed.v1"}):
        with pytest.raises(MalformedEvent):
            await world.book.want("render", "r1", wrong)


async def test_another_tenant_sees_nothing(world: World) -> None:
    await want_renders(world.book, "r1")
    other = type(world.book)(world.state, world.book.settings, tenant_id="other")
    assert await other.acquire("a", Want(kind="render", capacity=9)) == []
    assert await LeaseViews(world.state, tenant_id="other").stand() == []


async def test_the_clock_is_the_databases(world: World) -> None:
    before_s = time.time()
    async with world.state.reading() as session:
        told_s = await database_clock(session)
    # The server runs on this machine; what is meant is Unix time in seconds, with a fraction.
    assert before_s - 60 < told_s < time.time() + 60


async def test_leases_without_a_hand_on_the_clock(database_url: str) -> None:
    async with open_world(database_url) as opened:
        book = type(opened.book)(opened.state, LeaseSettings(), tenant_id=TENANT)
        await want_renders(book, "r1")
        (lease,) = await book.acquire("a", Want(kind="render", capacity=1))
        assert (await book.heartbeat("a", [lease])).kept == {"r1": 30.0}
        assert await book.acquire("b", Want(kind="render", capacity=1)) == []


async def test_a_locked_database_is_told_as_a_control_plane_that_is_away(tmp_path: Path) -> None:
    url = await fresh_database(tmp_path)
    async with State.open(url, tenant_id=TENANT) as other, open_world(url) as world:
        world.book.state = other
        async with State.open(url, tenant_id=TENANT, busy_timeout_s=0.01) as impatient:
            world.book.state = impatient
            async with other.writing():
                with pytest.raises(LeasesAway):
                    await world.connect("a").acquire(Want(kind="render", capacity=1))
