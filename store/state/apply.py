"""Writing what events tell: a batch of records in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Table, inspect, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Insert

from bus.ports import Record
from store.state.fold import Key, Rows, fold
from store.state.state import State
from store.state.tables import TABLES, Base, SessionRow


async def record(state: State, records: Sequence[Record]) -> None:
    """Fold the records into the database: all of a tenant's, or none of them.

    Raises:
        StateUnavailable: the database cannot be written now; no record is to blame.
    """
    by_tenant: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        by_tenant[one.event.tenant_id].append(one)
    for tenant_id, own in by_tenant.items():
        await _record(state.of(tenant_id), own)


async def _record(state: State, records: Sequence[Record]) -> None:
    touched = Rows()
    for one in records:
        fold(touched, one.event, one.published_at_s)
    async with state.writing() as session:
        rows = await _load(session, touched)
        for one in records:
            fold(rows, one.event, one.published_at_s)


async def _load(session: AsyncSession, touched: Rows) -> Rows:
    """Begin the rows that are not there yet, lock the sessions, and return all from the database.

    A row is begun by INSERT … ON CONFLICT DO NOTHING, so that two recorders on two partitions may
    begin the same one; locked sessions keep them from changing one session's rows at once. Both go
    in the order of keys, and the lock lets rows refer to a session, so nobody waits in a circle.
    """
    for table in TABLES:
        await _begin(session, table, touched.of(table).values())
    rows = Rows()
    await _fetch(session, rows, SessionRow, touched.of(SessionRow), lock=True)
    for table in TABLES:
        if table is not SessionRow:
            await _fetch(session, rows, table, touched.of(table))
    return rows


async def _begin(session: AsyncSession, model: type[Base], wanted: Collection[Any]) -> None:
    if not wanted:
        return
    table = model.__table__
    assert isinstance(table, Table)
    required = [column.name for column in table.columns if _must_be_told(column)]
    keys = [column.name for column in table.primary_key]
    begun = sorted(
        ({name: getattr(row, name) for name in required} for row in wanted),
        key=lambda row: [str(row[name]) for name in keys],
    )
    connection = await session.connection()
    await connection.execute(_insert_absent(table, connection.dialect.name), begun)


def _insert_absent(table: Table, dialect: str) -> Insert:
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _must_be_told(column: Any) -> bool:
    """Keys, and what a row refers to; the rest has a default or is NULL."""
    return column.primary_key or (not column.nullable and column.default is None)


async def _fetch(
    session: AsyncSession,
    rows: Rows,
    model: type[Base],
    wanted: Collection[Key],
    *,
    lock: bool = False,
) -> None:
    if not wanted:
        return
    key_columns = inspect(model).primary_key
    query = select(model).where(tuple_(*key_columns).in_(sorted(wanted, key=repr)))
    if lock:
        query = query.order_by(*key_columns).with_for_update(key_share=True)
    for row in (await session.execute(query)).scalars():
        rows.put(row, tuple(getattr(row, column.name) for column in key_columns))
