"""Books of leases, reached in every way there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.postgres import Postgres
from tests.store.leases.world import World, open_world
from tests.store.state.fresh import fresh_database


@pytest.fixture(params=["sqlite", "postgresql", "http"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A book on each kind of database, and one behind the control API."""
    if request.param != "postgresql":
        url = await fresh_database(tmp_path)
        async with open_world(url, over_http=request.param == "http") as opened:
            yield opened
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = await server.fresh()
    async with open_world(server.url(name)) as opened:
        yield opened
    await server.drop(name)


@pytest.fixture
async def book_world(database_url: str) -> AsyncIterator[World]:
    """A book on each kind of database, reached directly."""
    async with open_world(database_url) as opened:
        yield opened
