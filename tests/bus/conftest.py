"""Buses for the contract tests: each factory opens one more connection to the same log."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from bus.kafka import KafkaBus
from bus.kafka_settings import KafkaSettings
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from tests.bus.world import SteppedClock
from tests.services.fixtures import Broker
from tests.services.kafka_mock import ALONE, SESSION_S, MockKafka

OpenBus = Callable[[], AbstractAsyncContextManager[LocalBus | KafkaBus]]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def kafka_settings(broker: Broker, **changes: float) -> KafkaSettings:
    """Return settings with topics of their own, that notice quickly what other members do."""
    if isinstance(broker, MockKafka):
        changes.setdefault("session_s", SESSION_S)
    return KafkaSettings(
        bootstrap=broker.bootstrap,
        prefix=f"{uuid.uuid4().hex[:8]}.",
        heartbeat_s=changes.pop("heartbeat_s", 0.2),
        join_s=changes.pop("join_s", 6.0),
        **changes,
    )


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.timeout(600))])
def open_bus(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> OpenBus:
    """Return a function that opens the bus once more, as another process would."""
    if request.param == "local":
        local = LocalBusSettings(synchronous="NORMAL", poll_s=0.005)
        return lambda: LocalBus.open(tmp_path / "bus.db", local, clock=clock)
    broker: Broker = request.getfixturevalue("kafka")
    skip_beyond(broker, request)
    return opens_kafka(broker, tmp_path, clock)


def skip_beyond(broker: Broker, request: pytest.FixtureRequest) -> None:
    """Skip a test that asks for more than the mock cluster can do."""
    if isinstance(broker, MockKafka) and request.node.get_closest_marker("shared_group"):
        pytest.skip(ALONE)


def opens_kafka(broker: Broker, folder: Path, clock: SteppedClock, **changes: float) -> OpenBus:
    """Return a function that opens the bus on a broker once more, as another process would."""
    patient = {"ack_s": 60.0, "request_s": 60.0, "connect_s": 60.0, "leave_s": 30.0}
    settings = kafka_settings(broker, **patient, **changes)
    folders = (folder / f"process-{n}" for n in itertools.count())
    return lambda: KafkaBus.open(next(folders), settings, clock=clock)
