"""The pages while the database is away."""

from __future__ import annotations

import asyncio

from store.obstore_objects import open_objects
from store.state.state import State
from tests.services.postgres import Postgres
from tests.web.conftest import SiteUnderTest


async def test_a_page_says_that_it_cannot_be_made_now(
    postgres: Postgres, postgres_url: str
) -> None:
    async with State.open(postgres_url, tenant_id="acme") as state:
        site = SiteUnderTest(state, open_objects("memory://"))
        async with site.client() as client:
            assert (await client.get("/")).status_code == 200
            await asyncio.to_thread(postgres.stop)
            try:
                page, program = await client.get("/"), await client.get("/api/sessions")
            finally:
                await asyncio.to_thread(postgres.start)
            assert (await client.get("/")).status_code == 200
    for answer in (page, program):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "Try again" in page.text
