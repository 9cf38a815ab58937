"""What people are told of workers and of what waits is what the book does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from store.lease_settings import LeaseSettings
from store.leases import Pool, Want
from store.state.fleet import (
    UNTAKEN_S,
    FleetWorker,
    Takers,
    is_over,
    renders_by_pool,
    worker_state,
)
from store.state.fleet_views import FleetViews
from store.worker_names import machine_of, make_worker_name, process_of
from tests.store.leases.world import World, queued, want_renders, work


def worker(
    pool: str = "cpu", *, slots: int = 2, used: int = 0, state: str = "at_work", silent_s: float = 0
) -> FleetWorker:
    return FleetWorker(
        kind="render", name=f"box:render:{pool}", machine="box", pool=pool, state=state,
        used=used, slots=slots, silent_s=silent_s,
    )  # fmt: skip


CPU, GPU, DEDICATED = worker(), worker("gpu"), worker("dedicated")
BUSY_CPU, BUSY_GPU = worker(used=2), worker("gpu", used=2)
GONE_GPU = worker("gpu", state="gone", silent_s=40)


@pytest.mark.parametrize(
    ("workers", "waited_s", "why"),
    [
        ([], 5, "nobody"),
        ([worker(state="draining")], 5, "nobody"),
        ([worker(state="silent")], 5, "nobody"),
        ([BUSY_CPU], 500, "full"),
        ([BUSY_CPU, DEDICATED], 5, "soon"),
        ([BUSY_CPU, CPU], UNTAKEN_S + 1, "untaken"),
    ],
)
def test_why_work_for_anybody_waits(workers: list[FleetWorker], waited_s: float, why: str) -> None:
    takers = Takers(workers=workers, settings=LeaseSettings())
    assert takers.why("cpu", waited_s) == (why, None)


@pytest.mark.parametrize(
    ("workers", "fallback", "waited_s", "why"),
    [
        ([], "cpu", 5, ("nobody", None)),
        ([], "never", 5, ("no_gpu", None)),
        ([], "dedicated", 5, ("no_dedicated", None)),
        ([CPU], "never", 5, ("no_gpu", None)),
        ([CPU], "dedicated", 5, ("no_dedicated", None)),
        ([CPU], "cpu", 5, ("soon", None)),
        ([DEDICATED], "dedicated", 5, ("soon", None)),
        ([CPU], "cpu", 25, ("untaken", None)),
        ([BUSY_CPU], "cpu", 5, ("gpu_full", None)),
        ([BUSY_GPU], "never", 5, ("gpu_full", None)),
        ([BUSY_GPU], "cpu", 5, ("gpu_full", None)),
        ([BUSY_GPU, CPU], "cpu", 5, ("gpu_wait", 55)),
        ([BUSY_GPU, CPU], "cpu", 65, ("untaken", None)),
        ([GONE_GPU, CPU], "cpu", 5, ("gpu_wait", 20)),
        ([GONE_GPU, CPU], "cpu", 50, ("gpu_wait", 10)),
        ([GPU, CPU], "cpu", 5, ("soon", None)),
        ([GPU], "never", 25, ("untaken", None)),
    ],
)
def test_why_work_for_a_gpu_waits(
    workers: list[FleetWorker], fallback: str, waited_s: float, why: tuple[str, float | None]
) -> None:
    settings = LeaseSettings(gpu_wait_s=60.0, fallback=fallback)  # type: ignore[arg-type]
    assert Takers(workers=workers, settings=settings).why("gpu", waited_s) == why


@pytest.mark.parametrize(
    ("silent_s", "draining", "used", "state"),
    [
        (0, False, 0, "ready"),
        (8, False, 1, "at_work"),
        (8.1, False, 1, "silent"),
        (8.1, True, 1, "silent"),
        (15, False, 0, "gone"),
        (1, True, 1, "draining"),
        (1, True, 0, "left"),
        (100, True, 0, "left"),
    ],
)
def test_how_a_worker_stands(silent_s: float, draining: bool, used: int, state: str) -> None:
    said = worker_state(
        silent_s=silent_s, draining=draining, used=used, beat_s=4.0, good_for_s=15.0
    )
    assert said == state
    assert is_over(said) == (state in ("left", "gone"))


def test_renders_stand_under_the_pool_that_comes_first() -> None:
    workers = [worker(used=1), worker("gpu", used=2), worker("dedicated", state="gone")]
    made = [("gpu", "box:render:gpu"), ("gpu", "box:render:cpu"), ("gpu", "forgotten")]
    cpu, gpu = renders_by_pool({"gpu": 7}, made, workers)
    assert (cpu.pool, cpu.waiting, cpu.made, cpu.used, cpu.slots) == ("cpu", 0, 0, 1, 2)
    assert (gpu.pool, gpu.waiting, gpu.made, gpu.elsewhere, gpu.workers) == ("gpu", 7, 3, 1, 1)


def test_a_name_tells_the_machine_and_the_process() -> None:
    name = make_worker_name("-Ann's box #1 " + 100 * "x", "ingest", "77-ab")
    assert machine_of(name) == "Ann-s-box-1-" + 48 * "x"
    assert process_of(name) == "77-ab"
    assert make_worker_name("…", "render", "1-a") == "worker:render:1-a"
    assert (machine_of("other"), process_of("other")) == ("other", "")


@pytest.fixture
def world(book_world: World) -> World:
    return book_world


@pytest.mark.parametrize("is_heard_of", [True, False])
async def test_work_for_a_gpu_goes_to_others_exactly_when_it_is_told(
    world: World, is_heard_of: bool
) -> None:
    pools: list[Pool] = ["gpu", "cpu"]
    for pool in pools:
        await world.book.acquire(pool, Want(kind="render", capacity=0, pool=pool, slots=1))
    await world.book.want("render", "busy", work(queued("busy")), pool="gpu")
    (held,) = await world.book.acquire("gpu", Want(kind="render", capacity=1, pool="gpu", slots=1))
    await want_renders(world.book, "r1", pool="gpu")
    views = FleetViews.of(world.book)
    want = Want(kind="render", capacity=1, slots=1)
    world.clock.now_s += 11
    if is_heard_of:
        await world.book.heartbeat("gpu", [held])
    await world.book.acquire("cpu", replace(want, capacity=0))
    (waiting,) = [one for one in (await views.read()).waiting if one.reason != "silent"]
    assert waiting.reason == "gpu_wait"
    assert waiting.in_s == pytest.approx(49)
    world.clock.now_s += waiting.in_s - 0.5
    if is_heard_of:
        await world.book.heartbeat("gpu", [held])
    assert await world.book.acquire("cpu", want) == []
    world.clock.now_s += 1
    assert len(await world.book.acquire("cpu", want)) == 1


async def test_a_worker_that_leaves_is_waited_for_by_nobody(world: World) -> None:
    for name in "ab":
        await world.book.acquire(name, Want(kind="ingest", capacity=9, slots=9))
    bye = Want(kind="ingest", capacity=9, slots=9, draining=True)
    assert await world.book.acquire("a", bye) == []
    for number in range(4):
        await world.book.want("ingest", f"ch{number}", {"url": "u", "name": "n"})
    views = FleetViews.of(world.book)
    assert {one.waiting and one.waiting.reason for one in (await views.channels()).values()} == {
        "soon"
    }
    given = await world.book.acquire("b", Want(kind="ingest", capacity=9, slots=9))
    assert len(given) == 4
    stands = (await views.channels()).values()
    assert {(one.worker, one.since_s) for one in stands} == {("b", world.clock.now_s)}
    assert await views.ever()
    a, b = (await views.read()).workers
    assert (a.state, a.slots, b.state, b.used) == ("left", 9, "at_work", 4)
