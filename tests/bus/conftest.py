"""Buses for the contract tests: each factory opens one more connection to the same log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from bus.local import LocalBus
from bus.settings import LocalBusSettings
from tests.bus.world import SteppedClock

OpenBus = Callable[[], AbstractAsyncContextManager[LocalBus]]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["local"])
def open_bus(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> OpenBus:
    """Return a function that opens the bus once more, as another process would."""
    settings = LocalBusSettings(synchronous="NORMAL", poll_s=0.005)
    return lambda: LocalBus.open(tmp_path / "bus.db", settings, clock=clock)
