"""Fixtures for servers, each started when the first test of a session wants it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.services.gcs import Gcs, gcs_server
from tests.services.gcs_build import why_no_gcs
from tests.services.kafka_mock import MockKafka
from tests.services.kafka_server import KafkaServer, why_no_kafka
from tests.services.postgres import NoServer, Postgres, postgres_server
from tests.services.s3 import KEYS, S3, s3_server
from tests.store.state.fresh import fresh_database

Broker = KafkaServer | MockKafka
"""What speaks Kafka's protocol to a test."""

Cloud = S3 | Gcs
"""A server whose buckets hold objects."""


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker; tests leave it running."""
    yield from broker_of_its_own(tmp_path_factory.mktemp("kafka"))


def broker_of_its_own(folder: Path) -> Iterator[Broker]:
    """Run a real Kafka, or the mock cluster where none can run; where CI=true, that fails.

    `TEST_KAFKA=mock` asks for the mock cluster in any case.
    """
    asked = os.environ.get("TEST_KAFKA", "")
    assert asked in ("", "mock"), f"TEST_KAFKA is {asked!r}: it can only be mock"
    reason = "" if asked else why_no_kafka()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    server = MockKafka() if asked or reason else KafkaServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def mock_kafka() -> Iterator[MockKafka]:
    """A mock cluster, whether or not a real Kafka can run; tests leave it running."""
    server = MockKafka()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; the test is skipped where there is none, and fails where CI=true."""
    try:
        with postgres_server() as server:
            yield server
    except NoServer as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture
async def postgres_url(postgres: Postgres) -> AsyncIterator[str]:
    """Address of an empty, migrated PostgreSQL database."""
    name = await postgres.fresh()
    yield postgres.url(name)
    await postgres.drop(name)


@pytest.fixture
async def unmigrated_postgres_url(postgres: Postgres) -> AsyncIterator[str]:
    """Address of an empty PostgreSQL database without a table."""
    name = await postgres.empty()
    yield postgres.url(name)
    await postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Address of an empty, migrated database, of each kind in turn."""
    if request.param == "sqlite":
        yield await fresh_database(tmp_path)
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = await server.fresh()
    yield server.url(name)
    await server.drop(name)


@pytest.fixture(scope="session")
def s3_service() -> Iterator[S3]:
    """An S3 server."""
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_service: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An S3 server whose keys this process and those that it starts have."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return s3_service


@pytest.fixture(scope="session")
def gcs_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcs]:
    """A GCS server; the test is skipped where none can be built, and fails where CI=true."""
    reason = why_no_gcs()
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with gcs_server(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture
def gcs(gcs_service: Gcs, monkeypatch: pytest.MonkeyPatch) -> Gcs:
    """A GCS server whose account this process and those that it starts work as."""
    for name, value in gcs_service.environment.items():
        monkeypatch.setenv(name, value)
    return gcs_service


@pytest.fixture(params=["s3", "gcs"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """A server of each kind in turn."""
    found: Cloud = request.getfixturevalue(request.param)
    return found
