"""A migrated database, of each kind in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from store.state.state import State


@pytest.fixture
async def state(database_url: str) -> AsyncIterator[State]:
    async with State.open(database_url, tenant_id="acme") as opened:
        yield opened
