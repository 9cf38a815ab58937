"""Many writers in one process: each has its turn, and whoever waits in vain is told."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from store.state.errors import StateUnavailable
from store.state.state import State
from store.state.tables import TenantRow


async def test_many_writers_at_once_all_write(state: State) -> None:
    async def write(number: int) -> None:
        async with state.of(f"t{number}").writing() as session:
            session.add(TenantRow(id=f"t{number}"))

    await asyncio.gather(*(write(number) for number in range(40)))
    for number in range(40):
        async with state.of(f"t{number}").reading() as session:
            assert f"t{number}" in set(await session.scalars(select(TenantRow.id)))


async def test_whoever_waits_in_vain_is_told_and_takes_nobodys_turn(database_url: str) -> None:
    if database_url.startswith("postgresql"):
        pytest.skip("PostgreSQL has many writers")
    async with State.open(database_url, tenant_id="acme", busy_timeout_s=0.05) as state:
        async with state.writing():
            with pytest.raises(StateUnavailable, match="others still are"):
                async with state.writing():
                    pass
        async with state.writing() as session:
            session.add(TenantRow(id="acme"))
