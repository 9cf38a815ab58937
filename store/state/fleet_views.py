"""Reads the fleet from the book of leases, for people.

Law: reading changes nothing, and one look is one transaction by the database's clock; no address of
a stream and no token comes out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from store.lease_settings import LeaseSettings
from store.leases import Kind
from store.state.fleet import (
    ChannelStand,
    Fleet,
    FleetWorker,
    Holding,
    Takers,
    Waiting,
    renders_by_pool,
    worker_state,
)
from store.state.lease_choice import HELD, Clock, database_clock
from store.state.leases import LeaseBook
from store.state.state import State
from store.state.tables import ClipRow, LeaseRow, LeaseWorkerRow, RenderRow, SessionRow
from store.worker_names import machine_of

WORKERS_MAX = 1000
"""So many workers are read, those heard of last."""
HOLDINGS_MAX = 5000
"""So many pieces of work in hand are told in full."""
KINDS: tuple[Kind, ...] = ("ingest", "render")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What the tables say at one moment."""

    now_s: float
    workers: Sequence[FleetWorker]
    held: Sequence[LeaseRow]
    free: Sequence[tuple[str, str, int, float]]
    """Kind, pool, how many nobody holds, and since when the oldest is free."""

    def takers(self, kind: str, settings: LeaseSettings) -> Takers:
        return Takers(workers=[one for one in self.workers if one.kind == kind], settings=settings)


class FleetViews:
    """Looks at the workers of one tenant."""

    def __init__(
        self,
        state: State,
        settings: LeaseSettings,
        *,
        tenant_id: str = "local",
        clock: Clock = database_clock,
    ) -> None:
        """`settings`: those by which the book hands out work."""
        self._state = state.of(tenant_id)
        self._settings = settings
        self._tenant_id = tenant_id
        self._clock = clock
        self._known = False

    @classmethod
    def of(cls, book: LeaseBook) -> FleetViews:
        """Return the views of a book."""
        return cls(book.state, book.settings, tenant_id=book.tenant_id, clock=book.clock)

    async def ever(self) -> bool:
        """Say whether a worker has ever been there.

        Raises:
            StateUnavailable: the database cannot be read now; so does each method here.
        """
        if not self._known:
            asked = exists().where(LeaseWorkerRow.tenant_id == self._tenant_id)
            taken = exists().where(LeaseRow.tenant_id == self._tenant_id, LeaseRow.token > 0)
            async with self._state.reading() as session:
                self._known = bool(await session.scalar(select(or_(asked, taken))))
        return self._known

    async def read(self) -> Fleet:
        """Return the whole fleet."""
        async with self._state.reading() as session:
            look = await self._look(session, KINDS)
            holdings = await self._holdings(session, look)
        renders = [one for one in look.workers if one.kind == "render"]
        return Fleet(
            workers=tuple(
                replace(one, holds=tuple(holdings.get((one.kind, one.name), ())))
                for one in look.workers
            ),
            waiting=(*self._of_silent(look), *self._of_free(look)),
            renders=renders_by_pool(
                {pool: count for kind, pool, count, _ in look.free if kind == "render"},
                [(row.pool, row.owner) for row in look.held if row.kind == "render"],
                renders,
            ),
        )

    async def channels(self) -> dict[str, ChannelStand]:
        """Return who watches each channel that is to be watched, by the channel's id."""
        async with self._state.reading() as session:
            look = await self._look(session, ["ingest"])
            rows = await session.scalars(select(LeaseRow).where(*self._wanted("ingest")))
            takers = look.takers("ingest", self._settings)
            return {row.id: _stand(row, look, takers) for row in rows if row.state == "open"}

    # --- reading ---

    async def _look(self, session: AsyncSession, kinds: Collection[Kind]) -> _Look:
        now_s = await self._clock(session)
        held = (
            await session.scalars(
                select(LeaseRow)
                .where(*self._wanted(*kinds), LeaseRow.until_s > now_s)
                .order_by(LeaseRow.kind, LeaseRow.id)
                .limit(HOLDINGS_MAX)
            )
        ).all()
        free = await session.execute(
            select(LeaseRow.kind, LeaseRow.pool, func.count(), func.min(LeaseRow.until_s))
            .where(*self._wanted(*kinds), LeaseRow.state == "open", LeaseRow.until_s <= now_s)
            .group_by(LeaseRow.kind, LeaseRow.pool)
            .order_by(LeaseRow.kind, LeaseRow.pool)
        )
        used = Counter((row.kind, row.owner) for row in held)
        asking = await session.scalars(
            select(LeaseWorkerRow)
            .where(
                LeaseWorkerRow.tenant_id == self._tenant_id, LeaseWorkerRow.kind.in_(list(kinds))
            )
            .order_by(LeaseWorkerRow.seen_at_s.desc(), LeaseWorkerRow.name)
            .limit(WORKERS_MAX)
        )
        workers = [self._worker(row, used[row.kind, row.name], now_s) for row in asking]
        return _Look(
            now_s=now_s,
            workers=sorted(workers, key=lambda one: (one.kind, one.name)),
            held=held,
            free=[(kind, pool, count, since_s) for kind, pool, count, since_s in free],
        )

    def _wanted(self, *kinds: Kind) -> tuple[ColumnElement[bool], ...]:
        return (
            LeaseRow.tenant_id == self._tenant_id,
            LeaseRow.kind.in_(kinds),
            LeaseRow.state.in_(HELD),
        )

    def _worker(self, row: LeaseWorkerRow, used: int, now_s: float) -> FleetWorker:
        kind: Kind = "ingest" if row.kind == "ingest" else "render"
        silent_s = max(0.0, now_s - row.seen_at_s)
        return FleetWorker(
            kind=row.kind,
            name=row.name,
            machine=machine_of(row.name),
            pool=row.pool,
            state=worker_state(
                silent_s=silent_s,
                draining=row.draining,
                used=used,
                beat_s=self._settings.beat_s(kind),
                good_for_s=self._settings.good_for_s(kind),
            ),
            used=used,
            # A worker that does not say how many it holds has at least what it asks for.
            slots=max(row.slots, used) if row.slots else used + row.room,
            silent_s=silent_s,
        )

    async def _holdings(
        self, session: AsyncSession, look: _Look
    ) -> Mapping[tuple[str, str], Sequence[Holding]]:
        sessions = await self._running(session, [r.id for r in look.held if r.kind == "ingest"])
        renders = await self._renders(session, [r.id for r in look.held if r.kind == "render"])
        found: dict[tuple[str, str], list[Holding]] = defaultdict(list)
        for row in look.held:
            held_s = None if row.since_s is None else max(0.0, look.now_s - row.since_s)
            if row.kind == "ingest":
                one = Holding(
                    id=row.id,
                    name=str(row.work.get("name", "")),
                    held_s=held_s,
                    session_id=sessions.get(row.id, ""),
                )
            else:
                render, title = renders.get(row.id, (None, ""))
                one = Holding(
                    id=row.id,
                    name=title,
                    held_s=held_s,
                    session_id=str(row.work.get("session_id", "")),
                    clip_id=str(row.work.get("clip_id", "")),
                    layout=str(row.work.get("layout", "")),
                    percent=0 if render is None else render.percent,
                )
            found[row.kind, row.owner].append(one)
        return {
            worker: sorted(holds, key=lambda one: (one.name, one.id))
            for worker, holds in found.items()
        }

    async def _running(self, session: AsyncSession, ids: Collection[str]) -> Mapping[str, str]:
        rows = await session.execute(
            select(SessionRow.channel_id, SessionRow.id)
            .where(
                SessionRow.tenant_id == self._tenant_id,
                SessionRow.channel_id.in_(ids),
                SessionRow.status == "live",
                SessionRow.kind == "live",
            )
            .order_by(SessionRow.started_at_s)
        )
        return {row.channel_id: row.id for row in rows}

    async def _renders(
        self, session: AsyncSession, ids: Collection[str]
    ) -> Mapping[str, tuple[RenderRow, str]]:
        rows = await session.execute(
            select(RenderRow, ClipRow.title)
            .join(
                ClipRow,
                and_(RenderRow.tenant_id == ClipRow.tenant_id, RenderRow.clip_id == ClipRow.id),
            )
            .where(RenderRow.tenant_id == self._tenant_id, RenderRow.id.in_(ids))
        )
        return {render.id: (render, title) for render, title in rows}

    # --- what waits ---

    def _of_free(self, look: _Look) -> Iterable[Waiting]:
        """Return what nobody holds."""
        for kind, pool, count, since_s in look.free:
            waited_s = max(0.0, look.now_s - since_s)
            reason, in_s = look.takers(kind, self._settings).why(pool, waited_s)
            yield Waiting(
                kind=kind, pool=pool, count=count, oldest_s=waited_s, reason=reason, in_s=in_s
            )

    def _of_silent(self, look: _Look) -> Iterable[Waiting]:
        """Return what is held by workers that are not heard of."""
        silent = {(one.kind, one.name): one for one in look.workers if one.state == "silent"}
        by_owner: dict[tuple[str, str, str], list[LeaseRow]] = defaultdict(list)
        for row in look.held:
            if (row.kind, row.owner) in silent and row.state == "open":
                by_owner[row.kind, row.owner, row.pool].append(row)
        for (kind, owner, pool), rows in by_owner.items():
            takers = look.takers(kind, self._settings)
            first = _silent(rows[0], silent[kind, owner], look.now_s, takers)
            yield Waiting(
                kind=kind,
                pool=pool,
                count=len(rows),
                oldest_s=first.oldest_s,
                reason=first.reason,
                in_s=max(0.0, max(row.until_s for row in rows) - look.now_s),
                then=first.then,
                worker=owner,
            )


def _silent(row: LeaseRow, worker: FleetWorker, now_s: float, takers: Takers) -> Waiting:
    """Return that a piece of work waits for a silent worker's lease to be over."""
    then, _ = takers.why(row.pool, 0.0)
    return Waiting(
        kind=row.kind,
        pool=row.pool,
        count=1,
        oldest_s=worker.silent_s,
        reason="silent",
        in_s=max(0.0, row.until_s - now_s),
        then=then,
        worker=worker.name,
    )


def _stand(row: LeaseRow, look: _Look, takers: Takers) -> ChannelStand:
    if row.until_s <= look.now_s:
        waited_s = look.now_s - row.until_s
        reason, in_s = takers.why(row.pool, waited_s)
        free = Waiting(
            kind=row.kind, pool=row.pool, count=1, oldest_s=waited_s, reason=reason, in_s=in_s
        )
        return ChannelStand(waiting=free)
    worker = next((one for one in takers.workers if one.name == row.owner), None)
    waiting = None
    if worker is not None and worker.state == "silent":
        waiting = _silent(row, worker, look.now_s, takers)
    return ChannelStand(worker=row.owner, since_s=row.since_s, waiting=waiting)
