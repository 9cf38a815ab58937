"""The ingest role: watches the channels that it holds a lease for.

Law: what a watch publishes and stores passes a fence of its own lease, so a worker that was frozen
or cut off adds nothing to a session that another has taken over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from bus.stage import Ctx
from ops.channel_run import ChannelRun
from ops.channels import LOOK_EVERY_S, ChannelWatch
from ops.errors import StageBroken
from ops.supervisor import SupervisorSettings
from store.channel_work import ChannelWork
from store.fenced import FencedBus
from store.held_lease import HeldLease, Timer
from store.lease_keeper import LeaseKeeper
from store.leases import Beat, LeaseLost, Leases, Pool, Want
from store.state.watchlist import Place

MakeLeasedWatch = Callable[[ChannelWork, HeldLease, asyncio.Event], Awaitable[ChannelWatch]]
"""Makes a watch of a channel that stores under the lease alone; the event ends its session as
stopped by a person."""

LEAVE_S = 3.0
"""Of the time for draining, so much is kept for giving the leases back."""


class LeasedIngest:
    """Stage: takes channels as there is room, and watches each for as long as it is held."""

    name = "leased_ingest"

    def __init__(
        self,
        make_watch: MakeLeasedWatch,
        leases: Leases,
        settings: SupervisorSettings,
        *,
        channels_max: int,
        beat_s: float,
        pool: Pool = "cpu",
        leave: asyncio.Event | None = None,
        heard: Callable[[Beat], None] = lambda _: None,
        look_every_s: float = LOOK_EVERY_S,
        timer: Timer | None = None,
    ) -> None:
        """Take nothing yet.

        Args:
            make_watch: makes a channel's watch.
            leases: where channels come from.
            settings: how each channel's watch is kept alive.
            channels_max: how many channels are held at once.
            beat_s: how often a lease is renewed.
            pool: what this machine is.
            leave: set when the machine is about to be taken away.
            heard: is told each heartbeat's answer.
            look_every_s: as in `KeepWatching`.
            timer: a test's own time.
        """
        self._make_watch = make_watch
        self._settings = replace(settings, drain_s=max(1.0, settings.drain_s - LEAVE_S))
        self._look_every_s = look_every_s
        self._running: dict[str, ChannelRun] = {}
        self._ctx: Ctx | None = None
        self.keeper = LeaseKeeper(
            leases,
            Want(kind="ingest", capacity=channels_max, pool=pool),
            self._work,
            beat_s=beat_s,
            finishes=True,
            leave=leave,
            heard=heard,
            timer=timer,
        )

    @property
    def states(self) -> dict[str, str]:
        """How each channel stands that is held, by its name."""
        return {
            one.place.name: ": ".join(part for part in one.told() if part)
            for one in self._running.values()
        }

    async def run(self, ctx: Ctx) -> None:
        """Take channels and watch them until drained."""
        self._ctx = ctx
        await self.keeper.run(ctx.draining, ctx.meter)

    async def _work(self, held: HeldLease) -> Mapping[str, Any] | None:
        """Watch one channel; return an empty result once it is not wanted any more.

        Raises:
            LeaseLost: another may watch it.
            ValueError: the lease carries no channel.
        """
        assert self._ctx is not None  # leases are taken while the stage runs
        ctx, work = self._ctx, ChannelWork.of(held.lease.work)
        run = ChannelRun(
            Ctx(bus=FencedBus(ctx.bus, held.check), meter=ctx.meter),
            Place(id=work.id, name=work.name, url=work.url, kind=work.kind),
            lambda _, stop: self._make_watch(work, held, stop),
            self._settings,
            look_every_s=self._look_every_s,
            fatal=(LeaseLost,),
        )
        self._running[work.id] = run
        try:
            async with _linked({held.stop: run.stop, ctx.draining: run.draining}):
                await run.run()
        except StageBroken as broken:
            raise LeaseLost(str(broken)) from broken
        finally:
            if self._running.get(work.id) is run:
                del self._running[work.id]
        return {} if held.stop.is_set() else None


@contextlib.asynccontextmanager
async def _linked(events: Mapping[asyncio.Event, asyncio.Event]) -> AsyncIterator[None]:
    """Set each second event when its first one is set, while the context is open."""

    async def follow(first: asyncio.Event, second: asyncio.Event) -> None:
        await first.wait()
        second.set()

    tasks = [asyncio.create_task(follow(*pair)) for pair in events.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
