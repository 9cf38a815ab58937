"""Connections to the database, prepared for its kind.

Law: on PostgreSQL a transaction that is opened for a tenant runs as the fenced role and sees that
tenant's rows only, whatever is asked.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from store.state.errors import UnsupportedDatabase
from store.state.fences import APP_ROLE, TENANT_SETTING

CONNECT_S = 10.0
"""How long a PostgreSQL server has to answer a new connection."""
STATEMENT_S = 60.0
"""How long it has for one statement; a migration has no such limit."""

_PASSING = ("08", "40", "53", "57P", "55P03", "25006")
"""Beginnings of SQLSTATEs that end by themselves: connection lost, deadlock, no resources, server
ending or starting, lock not available, a standby that is not promoted yet."""


def open_engine(
    address: str,
    *,
    busy_timeout_s: float,
    foreign_keys: bool = True,
    statement_s: float | None = STATEMENT_S,
) -> AsyncEngine:
    """Return an engine; on SQLite each connection is in WAL mode, waits, and keeps foreign keys.

    Its execution option `clipthat_tenant` fences transactions on PostgreSQL; `clipthat_writes`
    takes SQLite's lock when they begin.

    Raises:
        UnsupportedDatabase: its driver is not installed.
    """
    try:
        if address.startswith("sqlite"):
            engine = create_async_engine(address)
            _prepare_sqlite(engine, round(busy_timeout_s * 1000), foreign_keys)
        else:
            # A connection that a restarted server has forgotten is noticed before it is used.
            engine = create_async_engine(
                address,
                pool_pre_ping=True,
                connect_args={"timeout": CONNECT_S, "command_timeout": statement_s},
            )
            _prepare_postgres(engine)
    except ModuleNotFoundError as error:
        raise UnsupportedDatabase(
            f"install {error.name} (pip install 'clipthat[cluster]') to keep the state there"
        ) from error
    return engine


def passes(error: DBAPIError) -> bool:
    """Say whether a database error is nobody's fault and ends by itself."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return (
        isinstance(error, OperationalError)
        or error.connection_invalidated
        or state.startswith(_PASSING)
    )


def _prepare_sqlite(engine: AsyncEngine, busy_timeout_ms: int, foreign_keys: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions by itself: `begin` below says which kind.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("clipthat_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgres(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        tenant_id = connection.get_execution_options().get("clipthat_tenant")
        if tenant_id is not None:
            # Both end with the transaction, so a pooled connection takes nobody's rights along.
            connection.exec_driver_sql(
                f"SELECT set_config('role', '{APP_ROLE}', true), "
                f"set_config('{TENANT_SETTING}', $1, true)",
                (tenant_id,),
            )
