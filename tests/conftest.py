"""Real servers, for whichever test asks for one."""

from __future__ import annotations

from tests.services.fixtures import (
    database_url,
    kafka,
    mock_kafka,
    postgres,
    postgres_url,
    s3,
    s3_service,
    unmigrated_postgres_url,
)

__all__ = [
    "database_url",
    "kafka",
    "mock_kafka",
    "postgres",
    "postgres_url",
    "s3",
    "s3_service",
    "unmigrated_postgres_url",
]
