"""The renderer of one machine of many: makes the outputs that it holds a lease for.

Law: each lease's files lie under its own token, and what is finished is handed in under the lease,
so that of two workers that make the same output one alone is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import orjson

from bus.codec import decode, encode
from bus.errors import BusError, MalformedEvent, Unavailable
from bus.events import RenderFailed, RenderFinished, RenderProgressed, RenderQueued
from bus.ports import Meter, SilentMeter
from bus.stage import Ctx
from render.outputs import OutputShelf
from render.progress import Tell
from render.settings import RenderSettings
from render.workbench import Workbench, at_once
from render.workplace import clear_stale
from store.held_lease import HeldLease, Timer
from store.lease_keeper import Ended, LeaseKeeper
from store.leases import Lease, Leases, Pool, Want
from store.objects import Objects


class LeasedRenderer:
    """Stage: takes renders as there is room, makes them and hands them in."""

    name = "leased_renderer"

    def __init__(
        self,
        objects: Objects,
        settings: RenderSettings,
        leases: Leases,
        *,
        beat_s: float,
        pool: Pool = "cpu",
        leave: asyncio.Event | None = None,
        timer: Timer | None = None,
    ) -> None:
        """Take nothing yet.

        Args:
            objects: where cuts lie and outputs go.
            settings: how outputs are made; `concurrency` is how many at once.
            leases: where work comes from.
            beat_s: how often a lease is renewed.
            pool: what this machine is.
            leave: set when the machine is about to be taken away.
            timer: a test's own time.
        """
        self._settings = settings
        self._workbench = Workbench(objects, settings)
        self._shelf = OutputShelf(objects)
        self._tell: Tell = _tell_nobody
        self._meter: Meter = SilentMeter()
        self._last: RenderFinished | RenderFailed | None = None
        self.keeper = LeaseKeeper(
            leases,
            Want(kind="render", capacity=at_once(settings), pool=pool),
            self._work,
            beat_s=beat_s,
            leave=leave,
            refused=self._forget,
            timer=timer,
        )

    async def run(self, ctx: Ctx) -> None:
        """Take renders and make them until drained; a stop kills the encoders and gives all back.

        Progress goes on the bus.
        """

        async def publish(progress: RenderProgressed) -> None:
            # Nothing hangs on it: a bus that is away holds no encoder up.
            with contextlib.suppress(BusError, Unavailable):
                await ctx.bus.publish([progress])

        self._tell, self._meter = publish, ctx.meter
        await asyncio.to_thread(clear_stale, self._settings.work_dir)
        await self.keeper.run(ctx.draining, ctx.meter)

    async def once(
        self, draining: asyncio.Event, tell: Tell, meter: Meter
    ) -> tuple[Ended | None, RenderFinished | RenderFailed | None]:
        """Make one output; return how its lease ended and what has come of it.

        None for the first when there was nothing to do, for the second when it was not made.

        Args:
            draining: set when it must stop; what is begun is given back.
            tell: hears of the progress.
            meter: counts.

        Raises:
            LeasesAway: the control plane does not answer.
            LeasesRefused: it does not take this worker.
        """
        self._tell, self._meter = tell, meter
        await asyncio.to_thread(clear_stale, self._settings.work_dir)
        self._last = None
        return await self.keeper.once(draining, meter), self._last

    async def _work(self, held: HeldLease) -> Mapping[str, Any]:
        queued, token = _queued(held.lease), held.lease.token
        # Whoever held an older token can hand nothing in any more.
        await self._shelf.forget_before(queued, token)
        event = await self._workbench.make(queued, self._tell, self._meter, token)
        self._last = event
        result: Mapping[str, Any] = orjson.loads(encode(event))
        return result

    async def _forget(self, lease: Lease) -> None:
        await self._shelf.forget(_queued(lease), lease.token)


def _queued(lease: Lease) -> RenderQueued:
    """Return what a lease asks for.

    Raises:
        MalformedEvent: it is no render.
    """
    event = decode(orjson.dumps(lease.work))
    if not isinstance(event, RenderQueued):
        raise MalformedEvent(f"the lease of render {lease.id} carries {event.TYPE}")
    return event


async def _tell_nobody(progress: RenderProgressed) -> None:
    """Keep the progress for ourselves."""
