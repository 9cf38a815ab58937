"""The book of leases: which worker holds which work, by the database's clock.

Law: a change of hands and its new token are one transaction, and a row that has once had a token is
never removed, so that tokens only grow. Who holds a token that is not the row's changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import CursorResult, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from bus.ports import Meter, SilentMeter
from store.lease_settings import LeaseSettings
from store.leases import Beat, Kind, Lease, LeaseLost, Want
from store.state.accounts import insert_of
from store.state.lease_choice import HELD, Choice, Clock, Question, database_clock
from store.state.lease_rules import REASONS, as_json, lost_result, queued_render, render_result
from store.state.state import State
from store.state.tables import LeaseRow, LeaseWorkerRow, TenantRow

WORKER_KEPT_S = 3_600.0
"""A worker that has not been heard of for so long is forgotten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A piece of work that is to be done."""

    kind: Kind
    id: str
    work: Mapping[str, Any] = field(repr=False)
    priority: int = 0
    """0 for what is live, 1 for a replay."""
    pool: Literal["cpu", "gpu"] = "cpu"
    """`gpu`: workers with one come first."""


class LeaseBook:
    """The leases of one tenant."""

    def __init__(
        self,
        state: State,
        settings: LeaseSettings,
        *,
        tenant_id: str = "local",
        meter: Meter | None = None,
        clock: Clock = database_clock,
    ) -> None:
        """`clock` is asked within each transaction."""
        self.settings = settings
        self.tenant_id = tenant_id
        self.state = state.of(tenant_id)
        self._meter = meter or SilentMeter()
        self.clock = clock

    async def want(
        self,
        kind: Kind,
        id: str,
        work: Mapping[str, Any],
        *,
        priority: int = 0,
        pool: Literal["cpu", "gpu"] = "cpu",
    ) -> None:
        """Want one piece of work done; see `want_all`."""
        await self.want_all([Wanted(kind=kind, id=id, work=work, priority=priority, pool=pool)])

    async def want_all(self, wanted: Sequence[Wanted]) -> None:
        """Want work done; what is wanted already stays as it is.

        A render that is done stays done; a channel is watched again, under a higher token. Whoever
        holds a channel goes on with what it was told when it took it; the next one is told anew.

        Raises:
            MalformedEvent: the work of a render is no RenderQueued.
            StateUnavailable: the database cannot be written now.
        """
        for one in wanted:
            if one.kind == "render":
                queued_render(one.work)
        told: dict[tuple[str, str], Wanted] = {(one.kind, one.id): one for one in wanted}
        if not told:
            return
        async with self.state.writing() as session:
            now_s = await self._begin(session)
            await self._insert(session, [told[key] for key in sorted(told)], "open", now_s)
            for row in await self._locked(session, list(told)):
                one = told[row.kind, row.id]
                if row.state == "gone" or (row.state == "done" and row.kind == "ingest"):
                    row.state, row.owner, row.lost, row.result = "open", "", 0, None
                    row.priority, row.pool = one.priority, one.pool
                    row.queued_at_s = row.until_s = now_s
                elif row.state == "stopping":
                    row.state = "open"
                if row.state == "open" and row.work != dict(one.work):
                    row.work = dict(one.work)

    async def unwant(self, kind: Kind, id: str) -> None:
        """Want it no more: who holds it is told to stop, and nobody else is given it.

        Raises:
            StateUnavailable: the database cannot be written now.
        """
        async with self.state.writing() as session:
            now_s = await self.clock(session)
            for row in await self._locked(session, [(kind, id)]):
                if row.state == "open":
                    row.state = "stopping" if row.until_s > now_s else "gone"

    async def settle(self, kind: Kind, ids: Sequence[str]) -> None:
        """Note that work is done whose result has been published; nobody needs to do it again.

        Raises:
            StateUnavailable: the database cannot be written now.
        """
        if not ids:
            return
        async with self.state.writing() as session:
            now_s = await self._begin(session)
            absent = [Wanted(kind=kind, id=each, work={}) for each in sorted(set(ids))]
            await self._insert(session, absent, "done", now_s)
            for row in await self._locked(session, [(kind, each) for each in ids]):
                if row.state in HELD:
                    row.owner = ""
                row.state, row.work, row.result = "done", {}, None

    async def acquire(
        self, worker: str, want: Want, question: Question | None = None
    ) -> list[Lease]:
        """Give a worker what it may have; see `Leases.acquire`.

        `question`: of a worker whose answers may get lost. What it was given without hearing of it
        is given to it again, and a question that arrives after a later one is left unanswered.

        Raises:
            StateUnavailable: the database cannot be written now.
        """
        counted: Counter[str] = Counter()
        async with self.state.writing() as session:
            now_s = await self.clock(session)
            choice = Choice(session, self.tenant_id, self.settings, now_s)
            again: Sequence[LeaseRow] = []
            if question is not None:
                if await choice.is_late(worker, want, question):
                    return []
                again = await choice.unheard(worker, want, question)
            for row in again:
                row.owner = ""
            counted["again"] = len(again)
            room = replace(want, capacity=want.capacity - len(again))
            rows = [*again, *await choice.rows(worker, room)]
            given = [row for row in rows if self._hand(row, worker, now_s, counted)]
            counted["given"] = len(given)
            if want.pool != "gpu":
                counted["fallback"] = sum(row.pool == "gpu" for row in given)
            left = want.capacity - len(given)
            await self._note_worker(session, worker, want, left, question, now_s)
            leases = [self._lease(row) for row in given]
        self._tell(want, counted)
        return leases

    async def heartbeat(self, worker: str, held: Sequence[Lease]) -> Beat:
        """Renew what a worker holds; see `Leases.heartbeat`.

        Raises:
            StateUnavailable: the database cannot be written now.
        """
        kept: dict[str, float] = {}
        stop: list[str] = []
        connected: list[str] = []
        async with self.state.writing() as session:
            now_s = await self.clock(session)
            keys = [(lease.kind, lease.id) for lease in held]
            rows = {(row.kind, row.id): row for row in await self._locked(session, keys)}
            for lease in held:
                row = rows.get((lease.kind, lease.id))
                if row is None or row.state == "gone" or not _is_mine(row, worker, lease.token):
                    continue
                kept[lease.id] = good_for_s = self.settings.good_for_s(lease.kind)
                if row.state in HELD:
                    row.until_s = now_s + good_for_s
                if row.state == "stopping":
                    stop.append(lease.id)
                if row.kind == "ingest" and row.work.get("eventsub"):
                    connected.append(lease.id)
            await session.execute(
                update(LeaseWorkerRow)
                .where(
                    LeaseWorkerRow.tenant_id == self.tenant_id,
                    LeaseWorkerRow.kind.in_({lease.kind for lease in held}),
                    LeaseWorkerRow.name == worker,
                )
                .values(seen_at_s=now_s)
            )
        lost = tuple(lease.id for lease in held if lease.id not in kept)
        return Beat(
            kept=kept,
            lost=lost,
            stop=tuple(stop),
            connected=tuple(connected) if any(one.kind == "ingest" for one in held) else None,
        )

    async def complete(self, worker: str, lease: Lease, result: Mapping[str, Any]) -> None:
        """Take in what has come of it; see `Leases.complete`.

        Raises:
            LeaseLost: the token is not the row's any more.
            LeasesRefused: the result is none of this work.
            StateUnavailable: the database cannot be written now.
        """
        event = None
        if lease.kind == "render":
            event = render_result(result, render_id=lease.id, tenant_id=self.tenant_id)
        async with self.state.writing() as session:
            row = next(iter(await self._locked(session, [(lease.kind, lease.id)])), None)
            lost = row is None or not _is_mine(row, worker, lease.token)
            fresh = row is not None and not lost and row.state in HELD
            if row is not None and fresh:
                row.state = "done" if event is None else "made"
                row.result = None if event is None else as_json(event)
                row.until_s = await self.clock(session)
        if lost:
            self._meter.count("clipthat_lease_late_writers_total", kind=lease.kind)
            raise LeaseLost(f"{lease.kind} {lease.id} has changed hands since token {lease.token}")
        if fresh:
            outcome = "ended" if event is None else event.TYPE.split(".")[-2]
            self._meter.count("clipthat_leases_completed_total", kind=lease.kind, outcome=outcome)

    async def release(self, worker: str, lease: Lease, reason: str) -> None:
        """Take it back undone; see `Leases.release`.

        Raises:
            StateUnavailable: the database cannot be written now.
        """
        given_back = False
        async with self.state.writing() as session:
            now_s = await self.clock(session)
            for row in await self._locked(session, [(lease.kind, lease.id)]):
                given_back = row.state in HELD and _is_mine(row, worker, lease.token)
                if given_back:
                    row.state = "open" if row.state == "open" else "gone"
                    row.owner, row.until_s = "", now_s
        if given_back:
            word = reason if reason in REASONS else "other"
            self._meter.count("clipthat_leases_released_total", kind=lease.kind, reason=word)

    async def sweep(self) -> None:
        """Let go of what is neither wanted nor held, and of workers that are long gone.

        Raises:
            StateUnavailable: the database cannot be written now.
        """
        async with self.state.writing() as session:
            now_s = await self.clock(session)
            await session.execute(
                update(LeaseRow)
                .where(
                    LeaseRow.tenant_id == self.tenant_id,
                    LeaseRow.state == "stopping",
                    LeaseRow.until_s <= now_s,
                )
                .values(state="gone")
            )
            await session.execute(
                delete(LeaseWorkerRow).where(
                    LeaseWorkerRow.tenant_id == self.tenant_id,
                    LeaseWorkerRow.seen_at_s < now_s - WORKER_KEPT_S,
                )
            )

    async def _begin(self, session: AsyncSession) -> float:
        """Make sure that there is a tenant to whom rows may belong; return the time."""
        insert = await insert_of(session)
        await session.execute(insert(TenantRow).values(id=self.tenant_id).on_conflict_do_nothing())
        return await self.clock(session)

    async def _insert(
        self, session: AsyncSession, wanted: Sequence[Wanted], state: str, now_s: float
    ) -> None:
        insert = await insert_of(session)
        rows = [
            {
                "tenant_id": self.tenant_id,
                "kind": one.kind,
                "id": one.id,
                "state": state,
                "work": dict(one.work),
                "pool": one.pool,
                "priority": one.priority,
                "queued_at_s": now_s,
                "owner": "",
                "token": 0,
                "since_s": None,
                "until_s": now_s,
                "lost": 0,
                "result": None,
            }
            for one in wanted
        ]
        connection = await session.connection()
        await connection.execute(insert(LeaseRow.__table__).on_conflict_do_nothing(), rows)

    async def _locked(
        self, session: AsyncSession, keys: Sequence[tuple[str, str]]
    ) -> Sequence[LeaseRow]:
        """Return rows by kind and id, locked in that order, so that nobody waits in a circle."""
        if not keys:
            return []
        query = (
            select(LeaseRow)
            .where(
                LeaseRow.tenant_id == self.tenant_id,
                tuple_(LeaseRow.kind, LeaseRow.id).in_(sorted(set(keys))),
            )
            .order_by(LeaseRow.kind, LeaseRow.id)
            .with_for_update()
        )
        return (await session.execute(query)).scalars().all()

    def _hand(self, row: LeaseRow, worker: str, now_s: float, counted: Counter[str]) -> bool:
        """Give a row to a worker, unless it has lost too many; return whether it is given."""
        if row.owner:
            row.lost += 1
            counted["lost"] += 1
        row.token += 1
        if row.kind == "render" and row.lost > self.settings.lost_max:
            row.state, row.owner = "made", ""
            row.result = as_json(lost_result(row.work, row.lost))
            counted["given_up"] += 1
            return False
        row.owner, row.since_s = worker, now_s
        row.until_s = now_s + self.settings.good_for_s(_kind(row))
        return True

    async def _note_worker(
        self,
        session: AsyncSession,
        worker: str,
        want: Want,
        room: int,
        question: Question | None,
        now_s: float,
    ) -> None:
        told = {
            "pool": want.pool,
            "room": 0 if want.draining else room,
            "slots": want.slots,
            "draining": want.draining,
            "asked_at_s": now_s,
            "seen_at_s": now_s,
            "run": "" if question is None else question.run,
            "question": 0 if question is None else question.number,
        }
        mine = (
            LeaseWorkerRow.tenant_id == self.tenant_id,
            LeaseWorkerRow.kind == want.kind,
            LeaseWorkerRow.name == worker,
        )
        noted = await session.execute(update(LeaseWorkerRow).where(*mine).values(**told))
        assert isinstance(noted, CursorResult)
        if noted.rowcount:
            return
        await self._begin(session)
        insert = await insert_of(session)
        await session.execute(
            insert(LeaseWorkerRow)
            .values(tenant_id=self.tenant_id, kind=want.kind, name=worker, **told)
            .on_conflict_do_update(index_elements=["tenant_id", "kind", "name"], set_=told)
        )

    def _lease(self, row: LeaseRow) -> Lease:
        return Lease(
            kind=_kind(row),
            id=row.id,
            token=row.token,
            good_for_s=self.settings.good_for_s(_kind(row)),
            tenant_id=self.tenant_id,
            work=row.work,
        )

    def _tell(self, want: Want, counted: Counter[str]) -> None:
        """Count what an answered question has changed."""
        kind, pool, meter = want.kind, want.pool, self._meter
        if counted["given"]:
            meter.count("clipthat_leases_given_total", counted["given"], kind=kind, pool=pool)
        if counted["lost"]:
            meter.count("clipthat_leases_lost_total", counted["lost"], kind=kind)
        if counted["given_up"]:
            meter.count("clipthat_leases_given_up_total", counted["given_up"], kind=kind)
        if counted["again"]:
            meter.count("clipthat_leases_given_again_total", counted["again"], kind=kind)
        if counted["fallback"]:
            meter.count("clipthat_lease_fallbacks_total", counted["fallback"], pool=pool)


def _is_mine(row: LeaseRow, worker: str, token: int) -> bool:
    return row.owner == worker and row.token == token


def _kind(row: LeaseRow) -> Kind:
    return "ingest" if row.kind == "ingest" else "render"
