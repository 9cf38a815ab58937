"""Which free work a worker is given, and by which clock it is free.

Law: what is live comes first, then what has waited longest; work for a GPU goes to others only
when the settings say so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from store.lease_settings import LeaseSettings
from store.leases import Want
from store.state.lease_rules import fair_share, may_fall_back
from store.state.tables import LeaseRow, LeaseWorkerRow

HELD = ("open", "stopping")
"""States in which a row may be somebody's."""

Clock = Callable[[AsyncSession], Awaitable[float]]
"""Gives Unix time within a transaction."""

_NOW = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())::float8",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
}


async def database_clock(session: AsyncSession) -> float:
    """Return the database's Unix time; SQLite has its machine's."""
    connection = await session.connection()
    return float((await session.execute(text(_NOW[connection.dialect.name]))).scalar_one())


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a worker says of itself when it asks, so that a lost answer harms nobody."""

    run: str
    """Names the worker's process."""
    number: int
    """Grows with each question of a run."""
    known: frozenset[tuple[str, int]]
    """Ids and tokens of the leases of this kind that it knows to be its own."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is there to choose from at one moment, in one transaction."""

    session: AsyncSession
    tenant_id: str
    settings: LeaseSettings
    now_s: float

    async def unheard(self, worker: str, want: Want, question: Question) -> Sequence[LeaseRow]:
        """Lock and return what the worker was given in an answer that it has not heard."""
        query = (
            select(LeaseRow)
            .where(
                LeaseRow.tenant_id == self.tenant_id,
                LeaseRow.kind == want.kind,
                LeaseRow.state == "open",
                LeaseRow.owner == worker,
                LeaseRow.until_s > self.now_s,
            )
            .order_by(LeaseRow.priority, LeaseRow.queued_at_s, LeaseRow.id)
            .with_for_update(skip_locked=True)
        )
        rows = (await self.session.execute(query)).scalars().all()
        return [row for row in rows if (row.id, row.token) not in question.known][: want.capacity]

    async def is_late(self, worker: str, want: Want, question: Question) -> bool:
        """Say whether the worker has asked again since, so that nobody hears the answer."""
        query = (
            select(LeaseWorkerRow)
            .where(
                LeaseWorkerRow.tenant_id == self.tenant_id,
                LeaseWorkerRow.kind == want.kind,
                LeaseWorkerRow.name == worker,
            )
            .with_for_update()
        )
        row = (await self.session.execute(query)).scalar_one_or_none()
        return row is not None and row.run == question.run and row.question >= question.number

    async def rows(self, worker: str, want: Want) -> Sequence[LeaseRow]:
        """Lock and return what a worker may have; what another transaction looks at is its."""
        free = await self._free_to(want)
        room = want.capacity
        if want.kind == "ingest" and room:
            room = await self._share(worker, want, free)
        if room <= 0:
            return []
        query = (
            select(LeaseRow)
            .where(free)
            .order_by(LeaseRow.priority, LeaseRow.queued_at_s, LeaseRow.id)
            .limit(room)
            .with_for_update(skip_locked=True)
        )
        return (await self.session.execute(query)).scalars().all()

    async def _free_to(self, want: Want) -> ColumnElement[bool]:
        """Return which rows nobody holds that a worker of this pool may take."""
        free = and_(
            LeaseRow.tenant_id == self.tenant_id,
            LeaseRow.kind == want.kind,
            LeaseRow.state == "open",
            LeaseRow.until_s <= self.now_s,
        )
        if want.pool == "gpu":
            return free
        if not may_fall_back(want.pool, self.settings.fallback):
            return and_(free, LeaseRow.pool != "gpu")
        since_s = self.now_s - self.settings.gpu_wait_s
        seen = await self.session.scalar(
            select(func.count())
            .select_from(LeaseWorkerRow)
            .where(
                LeaseWorkerRow.tenant_id == self.tenant_id,
                LeaseWorkerRow.kind == want.kind,
                LeaseWorkerRow.pool == "gpu",
                LeaseWorkerRow.seen_at_s > since_s,
            )
        )
        if not seen:
            return free
        return and_(free, or_(LeaseRow.pool != "gpu", LeaseRow.until_s <= since_s))

    async def _share(self, worker: str, want: Want, free: ColumnElement[bool]) -> int:
        """Return how many channels are this worker's share.

        Channels are held for hours, so they are shared out among all that have room; renders end
        soon, and whoever has room takes the next one.
        """
        asking = set(
            await self.session.scalars(
                select(LeaseWorkerRow.name).where(
                    LeaseWorkerRow.tenant_id == self.tenant_id,
                    LeaseWorkerRow.kind == want.kind,
                    LeaseWorkerRow.name != worker,
                    LeaseWorkerRow.room > 0,
                    LeaseWorkerRow.asked_at_s > self.now_s - self.settings.share_s,
                )
            )
        )
        held = await self.session.execute(
            select(LeaseRow.owner, func.count().label("held"))
            .where(
                LeaseRow.tenant_id == self.tenant_id,
                LeaseRow.kind == want.kind,
                LeaseRow.state.in_(HELD),
                LeaseRow.until_s > self.now_s,
                LeaseRow.owner.in_({worker, *asking}),
            )
            .group_by(LeaseRow.owner)
        )
        by_owner = {row.owner: row.held for row in held}
        free_count = await self.session.scalar(
            select(func.count()).select_from(LeaseRow).where(free)
        )
        return fair_share(
            want.capacity,
            free=free_count or 0,
            mine=by_owner.pop(worker, 0),
            others=sum(by_owner.values()),
            asking=len(asking),
        )
