"""The lease desk: what is queued on the bus is put into the book, what is done goes back.

Law: a render whose result is on the bus is never handed out again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence

import orjson
from sqlalchemy import select

from bus.codec import encode
from bus.consume import consume
from bus.events import RenderFailed, RenderFinished, RenderQueued
from bus.ports import Meter, Record
from bus.stage import Ctx
from store.state.lease_outbox import AT_ONCE, publish_results
from store.state.lease_views import LeaseViews
from store.state.leases import LeaseBook, Wanted
from store.state.tables import SessionRow

ROUND_S = 0.5
"""How often it is looked for results."""
LOOK_S = 2.0
"""How often the book is swept and told in numbers."""
LIVE, REPLAY = 0, 1
"""Priorities."""


class LeaseDesk:
    """Stage: keeps the book of leases and the bus together."""

    def __init__(
        self, book: LeaseBook, *, round_s: float = ROUND_S, look_s: float = LOOK_S
    ) -> None:
        self._book = book
        self._views = LeaseViews(book.state, tenant_id=book.tenant_id, clock=book.clock)
        self._round_s = round_s
        self._look_s = look_s
        self._told: set[tuple[str, str]] = set()
        self._told_pools: set[tuple[str, str]] = set()

    @property
    def name(self) -> str:
        """The word in logs and metrics, and the consumer group."""
        return "lease_desk"

    async def run(self, ctx: Ctx) -> None:
        """Follow `renders` and publish results until drained."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(ctx), name="lease results")
            group.create_task(self._look_after(ctx), name="lease sweep")
            await consume(ctx, self.name, ["renders"], self.note)

    async def note(self, records: Sequence[Record]) -> None:
        """Put what is queued into the book, and take out what has been made.

        Raises:
            StateUnavailable: the database cannot be written now.
        """
        mine = [one.event for one in records if one.event.tenant_id == self._book.tenant_id]
        over = {one.render_id for one in mine if isinstance(one, RenderFinished | RenderFailed)}
        queued = [
            one for one in mine if isinstance(one, RenderQueued) and one.render_id not in over
        ]
        if queued:
            replays = await self._replays({one.session_id for one in queued})
            pool = self._book.settings.render_pool
            await self._book.want_all(
                [
                    Wanted(
                        kind="render",
                        id=one.render_id,
                        work=orjson.loads(encode(one)),
                        priority=REPLAY if one.session_id in replays else LIVE,
                        pool=pool,
                    )
                    for one in queued
                ]
            )
        await self._book.settle("render", sorted(over))

    async def _replays(self, session_ids: Collection[str]) -> set[str]:
        """Return those sessions that are known to be no live ones."""
        query = select(SessionRow.id).where(
            SessionRow.tenant_id == self._book.tenant_id,
            SessionRow.id.in_(session_ids),
            SessionRow.kind.in_(("vod", "file")),
        )
        async with self._book.state.reading() as session:
            return set(await session.scalars(query))

    async def _publish(self, ctx: Ctx) -> None:
        while True:
            last = ctx.draining.is_set()
            count = await publish_results(self._book.state, ctx.bus, self._book.tenant_id)
            if count:
                ctx.meter.count("clipthat_lease_results_published_total", count)
            if last:
                return
            if count < AT_ONCE:
                await _pause(ctx, self._round_s)

    async def _look_after(self, ctx: Ctx) -> None:
        while not ctx.draining.is_set():
            await self._book.sweep()
            await self.tell(ctx.meter)
            await _pause(ctx, self._look_s)

    async def tell(self, meter: Meter) -> None:
        """Set the gauges of leases and workers; what is there no more goes to zero.

        Raises:
            StateUnavailable: the database cannot be read now.
        """
        stands = {(one.kind, one.pool): one for one in await self._views.stand()}
        self._told |= set(stands)
        for kind, pool in self._told:
            one = stands.get((kind, pool))
            counts = {
                "queued": 0 if one is None else one.queued,
                "held": 0 if one is None else one.held,
                "expired": 0 if one is None else one.expired,
            }
            for state, count in counts.items():
                meter.gauge("clipthat_leases", count, kind=kind, pool=pool, state=state)
            oldest_s = 0.0 if one is None else one.oldest_s
            meter.gauge("clipthat_lease_oldest_wait_seconds", oldest_s, kind=kind, pool=pool)
        workers = [(one.kind, one.pool) for one in await self._views.workers()]
        self._told_pools |= set(workers)
        for kind, pool in self._told_pools:
            meter.gauge("clipthat_lease_workers", workers.count((kind, pool)), kind=kind, pool=pool)


async def _pause(ctx: Ctx, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ctx.draining.wait(), seconds)
