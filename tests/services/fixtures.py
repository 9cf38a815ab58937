"""Services that tests share: one of each for a test process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.services.kafka_server import KafkaServer, MockKafka, why_no_kafka


def skip_unless_ci(reason: str) -> None:
    """Skip, but never where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A real broker; tests leave it running."""
    reason = why_no_kafka()
    if reason:
        skip_unless_ci(reason)
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def any_kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a real broker, or of the mock cluster where none can run."""
    if not why_no_kafka():
        yield request.getfixturevalue("kafka").bootstrap
        return
    if os.environ.get("CI") == "true" and "CLIPTHAT_TEST_KAFKA" not in os.environ:
        pytest.fail(why_no_kafka())
    pytest.importorskip("confluent_kafka")
    mock = MockKafka()
    try:
        yield mock.bootstrap
    finally:
        mock.stop()
