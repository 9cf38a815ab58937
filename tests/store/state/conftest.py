"""A migrated database in a fresh folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.state.state import State
from tests.store.state.fresh import fresh_database


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with State.open(await fresh_database(tmp_path)) as opened:
        yield opened
