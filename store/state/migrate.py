"""Migrations: the schema is brought to a revision under a lock, whole or not at all.

Law: two processes that start at once migrate once; the second waits and finds nothing to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from store.state.address import driver_url
from store.state.engine import open_engine
from store.state.tables import Base

_FOLDER = Path(__file__).with_name("migrations")
_POSTGRES_LOCK = 7_116_203_944
"""Any number that no other advisory lock of ours has."""


async def upgrade(url: str, revision: str = "head", *, busy_timeout_s: float = 30.0) -> None:
    """Bring the schema up to a revision; a file and its folder are made where there are none."""
    await _run(url, busy_timeout_s, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str, *, busy_timeout_s: float = 30.0) -> None:
    """Bring the schema down to a revision; `base` leaves no table of ours."""
    await _run(url, busy_timeout_s, lambda config: command.downgrade(config, revision))


async def differences(url: str, *, busy_timeout_s: float = 30.0) -> list[Any]:
    """Return what the tables in the code have and the database has not, or the other way round."""

    def compare(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with _locked(url, busy_timeout_s) as connection:
        return await connection.run_sync(compare)


async def _run(url: str, busy_timeout_s: float, order: Callable[[Config], None]) -> None:
    def obey(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        config.attributes["connection"] = connection
        order(config)

    async with _locked(url, busy_timeout_s) as connection:
        await connection.run_sync(obey)


@asynccontextmanager
async def _locked(url: str, busy_timeout_s: float) -> AsyncIterator[AsyncConnection]:
    """Open one transaction that holds the migration lock until its end.

    On SQLite BEGIN IMMEDIATE is that lock, and rows of a table that is rebuilt must not be taken
    along by foreign keys; on PostgreSQL it is an advisory lock of the transaction.
    """
    address = driver_url(url)
    path = make_url(address).database
    if address.startswith("sqlite") and path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = open_engine(
        address, busy_timeout_s=busy_timeout_s, foreign_keys=False, statement_s=None
    )
    try:
        async with engine.execution_options(clipthat_writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _POSTGRES_LOCK}
                )
            yield connection
    finally:
        await engine.dispose()
