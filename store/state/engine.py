"""Connections to the database, prepared for its kind."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from store.state.errors import UnsupportedDatabase


def open_engine(address: str, *, busy_timeout_s: float, foreign_keys: bool = True) -> AsyncEngine:
    """Return an engine; on SQLite each connection is in WAL mode, waits, and keeps foreign keys.

    Raises:
        UnsupportedDatabase: its driver is not installed.
    """
    try:
        engine = create_async_engine(address)
    except ModuleNotFoundError as error:
        raise UnsupportedDatabase(f"install {error.name} to keep the state there") from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, round(busy_timeout_s * 1000), foreign_keys)
    return engine


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
