"""The schema in the migrations is the schema in the code."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from store.state.address import driver_url
from store.state.errors import StateError, StateUnavailable, UnsupportedDatabase
from store.state.migrate import differences, downgrade, upgrade
from store.state.state import State
from store.state.tables import TABLES
from tests.paths import REPOSITORY
from tests.services.postgres import Postgres


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in found}
    finally:
        connection.close()


async def test_models_are_what_migrations_make(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    assert await differences(url) != []
    await upgrade(url)
    assert await differences(url) == []


async def test_down_and_up_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "100 % state.db"
    url = f"sqlite:///{path}"
    await upgrade(url)
    await downgrade(url, "base")
    assert tables(path) == {"alembic_version"}
    await upgrade(url)
    assert await differences(url) == []


async def test_many_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"

    async def start() -> None:
        async with State.open(url):
            pass

    await asyncio.gather(*(start() for _ in range(4)))
    assert await differences(url) == []


async def test_a_failed_migration_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE renders (id TEXT)")
    connection.close()
    with pytest.raises(Exception, match="already exists"):
        await upgrade(f"sqlite:///{path}")
    assert tables(path) == {"renders"}


def test_addresses() -> None:
    assert driver_url("sqlite:////tmp/a.db") == "sqlite+aiosqlite:////tmp/a.db"
    assert driver_url("postgresql://u:p@h/db") == "postgresql+asyncpg://u:p@h/db"
    for wrong in ("nonsense", "sqlite://", "sqlite:///:memory:", "mysql://h/db"):
        with pytest.raises(UnsupportedDatabase):
            driver_url(wrong)


async def test_a_database_without_its_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(UnsupportedDatabase, match="install asyncpg"):
        await upgrade("postgresql://localhost/clipthat")


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailable, match="cannot be reached"):
        async with State.open(f"postgresql://clipthat@/none?host={tmp_path}"):
            pass


async def test_models_are_what_migrations_make_on_postgresql(unmigrated_postgres_url: str) -> None:
    url = unmigrated_postgres_url
    assert await differences(url) != []
    for _ in range(2):
        await upgrade(url)
        assert await differences(url) == []
        await downgrade(url, "base")
        names = {each[1].name for each in await differences(url) if each[0] == "add_table"}
        assert names == {table.__tablename__ for table in TABLES}


_START = """
import asyncio, sys
from store.state.state import State
from store.state.tables import TABLES
from tests.paths import REPOSITORY
from tests.services.postgres import Postgres

async def main():
    async with State.open(sys.argv[1]):
        pass

asyncio.run(main())
"""


async def test_processes_that_start_at_once_migrate_once(postgres: Postgres) -> None:
    """Two of them on one database, and a third on another one of the same server."""
    databases = [await postgres.empty() for _ in range(2)]
    urls = [postgres.url(name) for name in (databases[0], *databases)]
    starting = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _START, url), cwd=REPOSITORY, stderr=subprocess.PIPE
        )
        for url in urls
    ]
    ended = [await process.communicate() for process in starting]
    assert [process.returncode for process in starting] == [0, 0, 0], ended
    for name in databases:
        assert await differences(postgres.url(name)) == []
        await postgres.drop(name)


async def test_a_failed_migration_leaves_nothing_on_postgresql(
    postgres: Postgres, unmigrated_postgres_url: str
) -> None:
    name = unmigrated_postgres_url.partition("@/")[2].partition("?")[0]
    async with postgres.told(name) as connection:
        await connection.execute("CREATE TABLE renders (id TEXT)")
        with pytest.raises(StateError, match="already exists"):
            async with State.open(unmigrated_postgres_url):
                pass
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname='public'")
    assert [row["tablename"] for row in found] == ["renders"]
