"""What the port of leases promises, whoever carries it."""

from __future__ import annotations

import asyncio

import pytest

from store.leases import Beat, LeaseLost, LeasesRefused, Want
from store.state.fleet_views import FleetViews
from tests.store.leases.world import World, failed, finished, queued, want_renders, work

RENDERS = Want(kind="render", capacity=10)
CHANNELS = Want(kind="ingest", capacity=10)


async def test_work_is_given_once_with_all_that_it_takes(world: World) -> None:
    a, b = world.connect("a"), world.connect("b")
    await want_renders(world.book, "r1")
    (lease,) = await a.acquire(RENDERS)
    assert (lease.kind, lease.id, lease.token, lease.tenant_id) == ("render", "r1", 1, "acme")
    assert lease.good_for_s == 30.0
    assert lease.work == work(queued("r1"))
    assert await a.acquire(RENDERS) == []
    assert await b.acquire(RENDERS) == []


async def test_nobody_is_given_more_than_it_can_take(world: World) -> None:
    a = world.connect("a")
    await want_renders(world.book, *(f"r{n}" for n in range(5)))
    assert await a.acquire(Want(kind="render", capacity=0)) == []
    first = await a.acquire(Want(kind="render", capacity=2))
    rest = await a.acquire(RENDERS)
    assert [lease.id for lease in first] == ["r0", "r1"]
    assert [lease.id for lease in rest] == ["r2", "r3", "r4"]


async def test_a_worker_tells_how_many_it_holds_and_that_it_takes_nothing_more(
    world: World,
) -> None:
    a, views = world.connect("a"), FleetViews.of(world.book)
    await want_renders(world.book, "r1", "r2", "r3")
    (lease,) = await a.acquire(Want(kind="render", capacity=1, slots=4))
    (worker,) = (await views.read()).workers
    assert (worker.used, worker.slots, worker.state) == (1, 4, "at_work")
    # The last question may still be answered with work.
    (last,) = await a.acquire(Want(kind="render", capacity=1, slots=4, draining=True))
    (worker,) = (await views.read()).workers
    assert (worker.used, worker.slots, worker.state) == (2, 4, "draining")
    for each in (lease, last):
        await a.release(each, "drain")
    (worker,) = (await views.read()).workers
    assert (worker.used, worker.state) == (0, "left")
    await a.acquire(Want(kind="render", capacity=0, slots=4))
    (worker,) = (await views.read()).workers
    assert worker.state == "ready"


async def test_live_comes_first_then_what_has_waited_longest(world: World) -> None:
    for name, priority in (("replay1", 1), ("live1", 0), ("replay2", 1), ("live2", 0)):
        await want_renders(world.book, name, priority=priority)
        world.clock.now_s += 1
    given = [
        lease.id
        for _ in range(4)
        for lease in await world.connect("a").acquire(Want(kind="render", capacity=1))
    ]
    assert given == ["live1", "live2", "replay1", "replay2"]


async def test_kinds_do_not_mix(world: World) -> None:
    await want_renders(world.book, "r1")
    await world.book.want("ingest", "ch1", {"url": "https://example.test/a.m3u8"})
    a = world.connect("a")
    assert [lease.id for lease in await a.acquire(CHANNELS)] == ["ch1"]
    assert [lease.id for lease in await a.acquire(RENDERS)] == ["r1"]


async def test_a_heartbeat_keeps_a_lease_beyond_its_time(world: World) -> None:
    a, b = world.connect("a"), world.connect("b")
    await want_renders(world.book, "r1")
    held = await a.acquire(RENDERS)
    for _ in range(5):
        world.clock.now_s += 29
        assert await a.heartbeat(held) == Beat(kept={"r1": 30.0})
        assert await b.acquire(RENDERS) == []
    world.clock.now_s += 31
    (taken,) = await b.acquire(RENDERS)
    assert taken.token == 2
    assert await a.heartbeat(held) == Beat(lost=("r1",))
    assert await b.heartbeat([taken]) == Beat(kept={"r1": 30.0})


async def test_a_lease_that_nobody_has_taken_over_is_kept_though_it_is_late(world: World) -> None:
    a = world.connect("a")
    await want_renders(world.book, "r1")
    held = await a.acquire(RENDERS)
    world.clock.now_s += 1_000
    assert await a.heartbeat(held) == Beat(kept={"r1": 30.0})
    assert await world.connect("b").acquire(RENDERS) == []


async def test_a_late_writer_is_refused_and_changes_nothing(world: World) -> None:
    a, b = world.connect("a"), world.connect("b")
    await want_renders(world.book, "r1")
    (old,) = await a.acquire(RENDERS)
    world.clock.now_s += 31
    (new,) = await b.acquire(RENDERS)
    with pytest.raises(LeaseLost):
        await a.complete(old, work(failed(old)))
    await a.release(old, "drain")
    assert await b.heartbeat([new]) == Beat(kept={"r1": 30.0})
    await b.complete(new, work(finished(new)))
    with pytest.raises(LeaseLost):
        await a.complete(old, work(finished(old)))
    assert world.numbers.counted("clipthat_lease_late_writers_total", kind="render") == 2
    assert world.numbers.counted("clipthat_leases_lost_total", kind="render") == 1


async def test_nobody_hands_in_under_anothers_token(world: World) -> None:
    a, b = world.connect("a"), world.connect("b")
    await want_renders(world.book, "r1")
    (lease,) = await a.acquire(RENDERS)
    with pytest.raises(LeaseLost):
        await b.complete(lease, work(finished(lease)))
    await b.release(lease, "drain")
    assert await b.heartbeat([lease]) == Beat(lost=("r1",))
    assert await a.heartbeat([lease]) == Beat(kept={"r1": 30.0})


async def test_a_result_may_be_handed_in_again(world: World) -> None:
    a = world.connect("a")
    await want_renders(world.book, "r1")
    (lease,) = await a.acquire(RENDERS)
    for _ in range(3):
        await a.complete(lease, work(finished(lease)))
    completed = "clipthat_leases_completed_total"
    assert world.numbers.counted(completed, kind="render", outcome="finished") == 1


async def test_what_is_done_is_not_done_again(world: World) -> None:
    a = world.connect("a")
    await want_renders(world.book, "r1")
    (lease,) = await a.acquire(RENDERS)
    await a.complete(lease, work(finished(lease)))
    await want_renders(world.book, "r1")
    world.clock.now_s += 1_000
    assert await a.acquire(RENDERS) == []


async def test_what_is_given_back_is_anothers_at_once(world: World) -> None:
    a, b = world.connect("a"), world.connect("b")
    await want_renders(world.book, "r1")
    (lease,) = await a.acquire(RENDERS)
    await a.release(lease, "preempted")
    (taken,) = await b.acquire(RENDERS)
    assert taken.token == 2
    with pytest.raises(LeaseLost):
        await a.complete(lease, work(finished(lease)))
    counted = world.numbers.counted(
        "clipthat_leases_released_total", kind="render", reason="preempted"
    )
    assert counted == 1
    assert world.numbers.counted("clipthat_leases_lost_total", kind="render") == 0


async def test_whoever_holds_what_is_not_wanted_any_more_is_told_to_stop(world: World) -> None:
    a = world.connect("a")
    await world.book.want("ingest", "ch1", {"url": "u"})
    held = await a.acquire(CHANNELS)
    await world.book.unwant("ingest", "ch1")
    for _ in range(2):
        assert await a.heartbeat(held) == Beat(kept={"ch1": 15.0}, stop=("ch1",), connected=())
    await a.complete(held[0], {})
    world.clock.now_s += 1_000
    assert await a.acquire(CHANNELS) == []


async def test_a_channel_that_is_wanted_again_has_a_higher_token(world: World) -> None:
    a = world.connect("a")
    for token in (1, 2, 3):
        await world.book.want("ingest", "ch1", {"url": f"u{token}"})
        (lease,) = await a.acquire(CHANNELS)
        assert (lease.token, lease.work) == (token, {"url": f"u{token}"})
        await world.book.unwant("ingest", "ch1")
        await a.complete(lease, {})


async def test_what_nobody_holds_is_gone_when_it_is_not_wanted(world: World) -> None:
    await world.book.want("ingest", "ch1", {"url": "u"})
    await world.book.unwant("ingest", "ch1")
    await world.book.unwant("ingest", "never heard of")
    assert await world.connect("a").acquire(CHANNELS) == []


async def test_a_change_of_mind_stops_nobody(world: World) -> None:
    a = world.connect("a")
    await world.book.want("ingest", "ch1", {"url": "u"})
    held = await a.acquire(CHANNELS)
    await world.book.unwant("ingest", "ch1")
    await world.book.want("ingest", "ch1", {"url": "u"})
    assert await a.heartbeat(held) == Beat(kept={"ch1": 15.0}, connected=())


async def test_a_heartbeat_tells_whose_owner_has_connected_by_now(world: World) -> None:
    a = world.connect("a")
    for name in ("ch1", "ch2"):
        await world.book.want("ingest", name, {"eventsub": False})
    held = await a.acquire(CHANNELS)
    assert (await a.heartbeat(held)).connected == ()
    await world.book.want("ingest", "ch2", {"eventsub": True})
    assert (await a.heartbeat(held)).connected == ("ch2",)
    await world.book.want("ingest", "ch2", {"eventsub": False})
    assert (await a.heartbeat(held)).connected == ()
    await want_renders(world.book, "r1")
    assert (await a.heartbeat(await a.acquire(RENDERS))).connected is None


@pytest.mark.parametrize("changed", [{"render_id": "r2"}, {"tenant_id": "other"}])
async def test_a_result_of_something_else_is_refused(world: World, changed: dict[str, str]) -> None:
    a = world.connect("a")
    await want_renders(world.book, "r1")
    (lease,) = await a.acquire(RENDERS)
    with pytest.raises(LeasesRefused):
        await a.complete(lease, work(finished(lease, **changed)))
    with pytest.raises(LeasesRefused):
        await a.complete(lease, work(queued("r1")))
    with pytest.raises(LeasesRefused):
        await a.complete(lease, {"type": "no event"})
    with pytest.raises(LeasesRefused, match="objects of another tenant"):
        await a.complete(lease, work(finished(lease, output_key="tenant/other/renders/x.mp4")))
    await a.complete(lease, work(finished(lease)))


async def test_many_that_ask_at_once_never_share_work(world: World) -> None:
    await want_renders(world.book, *(f"r{n}" for n in range(12)))
    workers = [world.connect(name) for name in "abc"]

    async def take_all(worker: int) -> list[tuple[str, int]]:
        taken = []
        while leases := await workers[worker].acquire(Want(kind="render", capacity=2)):
            taken += [(lease.id, lease.token) for lease in leases]
        return taken

    taken = [each for one in await asyncio.gather(*map(take_all, range(3))) for each in one]
    # A question may find every free row looked at by another: whoever asks again has the rest.
    for lease in await workers[0].acquire(Want(kind="render", capacity=12)):
        taken.append((lease.id, lease.token))
    assert sorted(taken) == sorted((f"r{n}", 1) for n in range(12))
