"""A hundred renders whose workers are preempted, killed and frozen at random."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from bus.events import RenderFinished
from store.lease_settings import LeaseSettings
from store.leases import Lease, LeaseLost, Want
from store.state.lease_outbox import publish_results
from store.state.lease_views import LeaseViews
from tests.store.leases.world import TENANT, Outlet, World, finished, open_world, want_renders, work

RENDERS = 100
WORKERS = 8


class Storm:
    """Workers that meet every fate, and the objects that they leave behind."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.objects: dict[str, tuple[str, int]] = {}
        """What lies under each key: a render's id, and the token under which it was made."""
        self.frozen: list[tuple[str, Lease]] = []
        self.fates: Counter[str] = Counter()
        self.held: dict[str, set[str]] = {}

    async def run(self, worker: str) -> None:
        """Take one render and meet a fate."""
        port = self.world.connect(worker)
        for lease in await port.acquire(Want(kind="render", capacity=1)):
            fate = self.chance.choice(("finish", "preempted", "killed", "frozen"))
            self.fates[fate] += 1
            if fate == "preempted":
                await port.release(lease, "preempted")
                continue
            self._write(lease)
            if fate == "finish":
                await port.complete(lease, work(finished(lease)))
            elif fate == "frozen":
                self.frozen.append((worker, lease))

    async def thaw(self) -> None:
        """Let the frozen go on as if nothing had happened."""
        thawed, self.frozen = self.frozen, []
        for worker, lease in thawed:
            self._write(lease)
            try:
                await self.world.connect(worker).complete(lease, work(finished(lease)))
            except LeaseLost:
                self.fates["refused"] += 1

    def _write(self, lease: Lease) -> None:
        key = finished(lease).output_key
        assert self.objects.setdefault(key, (lease.id, lease.token)) == (lease.id, lease.token)


@pytest.mark.parametrize("seed", [1, 2])
async def test_all_are_finished_with_one_visible_output_each(database_url: str, seed: int) -> None:
    async with open_world(database_url, settings=LeaseSettings(lost_max=1_000)) as world:
        names = [f"r{number:03d}" for number in range(RENDERS)]
        await want_renders(world.book, *names)
        storm, outlet = Storm(world, seed), Outlet()
        views = LeaseViews(world.state, tenant_id=TENANT, clock=world.clock)
        while await views.entries("render"):
            await asyncio.gather(*(storm.run(f"w{number}") for number in range(WORKERS)))
            world.clock.now_s += storm.chance.choice((1.0, 10.0, 31.0))
            if storm.chance.random() < 0.3:
                await storm.thaw()
            await publish_results(world.state, outlet, TENANT)
        world.clock.now_s += 31
        await storm.thaw()
        await publish_results(world.state, outlet, TENANT)
    assert all(isinstance(event, RenderFinished) for event in outlet.events)
    assert sorted(event.render_id for event in outlet.events) == names
    for event in outlet.events:
        assert isinstance(event, RenderFinished)
        assert storm.objects[event.output_key][0] == event.render_id
    assert min(storm.fates[fate] for fate in ("preempted", "killed", "frozen", "refused")) > 0
    late = world.numbers.counted("clipthat_lease_late_writers_total", kind="render")
    assert late == storm.fates["refused"]
