"""The database's server goes away while leases are held, and comes back."""

from __future__ import annotations

import asyncio
import signal

import pytest

from store.leases import Beat, Leases, LeasesAway, Want
from tests.services.postgres import Postgres
from tests.store.leases.world import finished, open_world, want_renders, work

RENDERS = Want(kind="render", capacity=10)


@pytest.mark.parametrize("over_http", [False, True], ids=["direct", "http"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
async def test_what_is_held_stays_held(
    postgres: Postgres, postgres_url: str, how: signal.Signals, over_http: bool
) -> None:
    async with open_world(postgres_url, over_http=over_http) as world:
        a: Leases = world.connect("a")
        await want_renders(world.book, "r1", "r2")
        (lease,) = held = await a.acquire(Want(kind="render", capacity=1))
        await asyncio.to_thread(postgres.stop, how)
        try:
            for call in (
                a.acquire(RENDERS),
                a.heartbeat(held),
                a.complete(lease, work(finished(lease))),
                a.release(lease, "drain"),
            ):
                with pytest.raises(LeasesAway):
                    await call
        finally:
            await asyncio.to_thread(postgres.start)
        world.clock.now_s += 60
        assert await a.heartbeat(held) == Beat(kept={"r1": 30.0})
        await a.complete(lease, work(finished(lease)))
        assert [lease.id for lease in await a.acquire(RENDERS)] == ["r2"]
