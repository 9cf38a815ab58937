"""The schema in the migrations is the schema in the code."""

from __future__ import annotations

import asyncio
import importlib.util
import sqlite3
from pathlib import Path

import pytest

from store.state.address import driver_url
from store.state.errors import UnsupportedDatabase
from store.state.migrate import differences, downgrade, upgrade
from store.state.state import State


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


async def test_a_database_without_its_driver_is_told() -> None:
    if importlib.util.find_spec("asyncpg") is not None:
        pytest.skip("the driver is installed")
    with pytest.raises(UnsupportedDatabase, match="install asyncpg"):
        await upgrade("postgresql://localhost/clipthat")
