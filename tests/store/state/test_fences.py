"""Row-level security: what the database itself keeps from another tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError

from store.state.address import driver_url
from store.state.apply import record
from store.state.engine import open_engine
from store.state.fences import APP_ROLE
from store.state.state import State
from store.state.tables import TABLES, ChannelRow, SessionRow, TenantRow
from tests.services.postgres import LOGIN
from tests.store.state.story import records, story


@pytest.fixture
async def state(postgres_url: str) -> AsyncIterator[State]:
    async with State.open(postgres_url, tenant_id="acme") as opened:
        yield opened


async def test_every_table_of_tenants_is_fenced_and_the_fence_is_forced(state: State) -> None:
    async with state.reading() as session:
        found = await session.execute(
            text(
                """
                SELECT tables.relname, tables.relrowsecurity AND tables.relforcerowsecurity,
                    policies.qual, policies.with_check, policies.cmd, policies.permissive
                FROM pg_class AS tables
                JOIN pg_namespace AS spaces ON spaces.oid = tables.relnamespace
                LEFT JOIN pg_policies AS policies
                    ON policies.tablename = tables.relname AND policies.schemaname = spaces.nspname
                WHERE tables.relkind IN ('r', 'p') AND spaces.nspname = current_schema()
                """
            )
        )
        fences = {name: rest for name, *rest in found}
    assert fences.pop("alembic_version")[0] is False
    # Whatever is in the database is fenced, and whatever the code knows is in the database.
    assert set(fences) == {table.__tablename__ for table in TABLES}
    for name, (forced, sees, writes, command, permissive) in fences.items():
        column = "id" if name == "tenants" else "tenant_id"
        wanted = f"(({column})::text = current_setting('clipthat.tenant'::text, true))"
        assert forced, name
        assert (sees, writes, command, permissive) == (wanted, wanted, "ALL", "PERMISSIVE"), name


@pytest.mark.parametrize("tenant", ["other", "", "%", "acme' OR 1=1 --"])
async def test_a_query_without_a_tenant_sees_nothing_of_another(state: State, tenant: str) -> None:
    await record(state, records(story()))
    async with state.of(tenant).reading() as session:
        for table in TABLES:
            count = await session.scalar(select(func.count()).select_from(table))
            assert count == 0, table.__tablename__
            raw = await session.scalar(text(f"SELECT count(*) FROM {table.__tablename__}"))
            assert raw == 0, table.__tablename__
    async with state.of(tenant).writing() as session:
        await session.execute(update(SessionRow).values(title="mine now"))
        await session.execute(text("DELETE FROM renders"))
    async with state.reading() as session:
        assert await session.scalar(select(SessionRow.title)) == "Ranked"
        assert await session.scalar(text("SELECT count(*) FROM renders")) == 2


async def test_a_row_cannot_be_written_for_another_tenant(state: State) -> None:
    for row in (TenantRow(id="other"), ChannelRow(tenant_id="other", id="ch1")):
        with pytest.raises(DBAPIError, match="row-level security"):
            async with state.writing() as session:
                session.add(row)


async def test_the_service_owns_nothing_and_changes_no_table(state: State) -> None:
    async with state.reading() as session:
        assert await session.scalar(text("SELECT current_user")) == APP_ROLE
        assert await session.scalar(text("SELECT session_user")) == LOGIN
    for order in ("ALTER TABLE clips DISABLE ROW LEVEL SECURITY", "TRUNCATE clips CASCADE"):
        with pytest.raises(DBAPIError, match=r"must be owner|permission denied"):
            async with state.writing() as session:
                await session.execute(text(order))


async def test_the_owner_is_fenced_too(state: State, postgres_url: str) -> None:
    await record(state, records(story()))
    engine = open_engine(driver_url(postgres_url), busy_timeout_s=1)
    try:
        async with engine.begin() as connection:
            assert await connection.scalar(text("SELECT current_user")) == LOGIN
            assert await connection.scalar(text("SELECT count(*) FROM clips")) == 0
    finally:
        await engine.dispose()


async def test_a_pooled_connection_takes_no_tenant_along(state: State) -> None:
    await record(state, records([*story(), *story(tenant_id="other")]))

    async def owners(tenant_id: str) -> set[str]:
        async with state.of(tenant_id).reading() as session:
            return set((await session.execute(text("SELECT tenant_id FROM clips"))).scalars())

    tenants = ["acme", "other", "nobody"] * 10
    seen = await asyncio.gather(*map(owners, tenants))
    assert seen == [set() if name == "nobody" else {name} for name in tenants]
