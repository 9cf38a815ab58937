"""How leases stand, for gauges, the status page and whoever reconciles what is wanted.

Law: reading changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import case, func, select

from store.leases import Kind, Lease, LeaseLost
from store.state.lease_choice import HELD, Clock, database_clock
from store.state.state import State
from store.state.tables import LeaseRow, LeaseWorkerRow


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseStand:
    """How many leases of one kind and pool stand how."""

    kind: str
    pool: str
    """Whose work it is first."""
    queued: int
    """Nobody has it."""
    held: int
    expired: int
    """Its worker is not heard of any more, and nobody has taken it yet."""
    oldest_s: float
    """How long the one has waited that has waited longest; zero when none waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStand:
    """A worker that was heard of lately."""

    kind: str
    name: str
    pool: str
    room: int
    """How many more it could take."""
    silent_s: float
    """Since when it has not been heard of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A piece of work in the book."""

    state: str
    """As in LeaseRow."""
    holder: str
    """Who holds it at this time; empty: nobody."""
    work: Mapping[str, Any] = field(repr=False)


class LeaseViews:
    """Looks into the book of one tenant."""

    def __init__(
        self, state: State, *, tenant_id: str = "local", clock: Clock = database_clock
    ) -> None:
        self._state = state.of(tenant_id)
        self._tenant_id = tenant_id
        self._clock = clock

    async def stand(self) -> list[LeaseStand]:
        """Return how leases stand, by kind and pool.

        Raises, as each method here:
            StateUnavailable: the database cannot be read now.
        """
        async with self._state.reading() as session:
            now_s = await self._clock(session)
            is_free = LeaseRow.until_s <= now_s
            is_queued = is_free & (LeaseRow.owner == "")
            found = await session.execute(
                select(
                    LeaseRow.kind,
                    LeaseRow.pool,
                    func.sum(case((is_queued, 1), else_=0)),
                    func.sum(case((is_free, 0), else_=1)),
                    func.sum(case((is_free & (LeaseRow.owner != ""), 1), else_=0)),
                    func.min(case((is_free, LeaseRow.until_s))),
                )
                .where(LeaseRow.tenant_id == self._tenant_id, LeaseRow.state.in_(HELD))
                .group_by(LeaseRow.kind, LeaseRow.pool)
                .order_by(LeaseRow.kind, LeaseRow.pool)
            )
            return [
                LeaseStand(
                    kind=kind,
                    pool=pool,
                    queued=queued,
                    held=held,
                    expired=expired,
                    oldest_s=0.0 if since_s is None else max(0.0, now_s - since_s),
                )
                for kind, pool, queued, held, expired, since_s in found
            ]

    async def workers(self, within_s: float = 60.0) -> list[WorkerStand]:
        """Return the workers that were heard of within so many seconds."""
        async with self._state.reading() as session:
            now_s = await self._clock(session)
            rows = await session.scalars(
                select(LeaseWorkerRow)
                .where(
                    LeaseWorkerRow.tenant_id == self._tenant_id,
                    LeaseWorkerRow.seen_at_s > now_s - within_s,
                )
                .order_by(LeaseWorkerRow.kind, LeaseWorkerRow.name)
            )
            return [
                WorkerStand(
                    kind=row.kind,
                    name=row.name,
                    pool=row.pool,
                    room=row.room,
                    silent_s=max(0.0, now_s - row.seen_at_s),
                )
                for row in rows
            ]

    async def entries(self, kind: Kind) -> dict[str, Entry]:
        """Return what stands in the book and is not over, by the work's id."""
        async with self._state.reading() as session:
            now_s = await self._clock(session)
            rows = await session.scalars(
                select(LeaseRow).where(
                    LeaseRow.tenant_id == self._tenant_id,
                    LeaseRow.kind == kind,
                    LeaseRow.state.in_(HELD),
                )
            )
            return {
                row.id: Entry(
                    state=row.state,
                    holder=row.owner if row.until_s > now_s else "",
                    work=row.work,
                )
                for row in rows
            }

    async def work(self, worker: str, lease: Lease) -> Mapping[str, Any]:
        """Return what a worker is to do that holds a lease now.

        Raises:
            LeaseLost: it does not hold it, or not any more.
        """
        async with self._state.reading() as session:
            now_s = await self._clock(session)
            row = await session.scalar(
                select(LeaseRow).where(
                    LeaseRow.tenant_id == self._tenant_id,
                    LeaseRow.kind == lease.kind,
                    LeaseRow.id == lease.id,
                    LeaseRow.state.in_(HELD),
                    LeaseRow.owner == worker,
                    LeaseRow.token == lease.token,
                    LeaseRow.until_s > now_s,
                )
            )
            if row is None:
                raise LeaseLost(f"{lease.kind} {lease.id} is not this worker's now")
            work: Mapping[str, Any] = row.work
            return work
