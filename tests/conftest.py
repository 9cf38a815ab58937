"""Real servers, for whichever test asks for one."""

from __future__ import annotations

from tests.services.fixtures import (
    cloud,
    database_url,
    gcs,
    gcs_service,
    kafka,
    mock_kafka,
    postgres,
    postgres_url,
    s3,
    s3_service,
    unmigrated_postgres_url,
)

__all__ = [
    "cloud",
    "database_url",
    "gcs",
    "gcs_service",
    "kafka",
    "mock_kafka",
    "postgres",
    "postgres_url",
    "s3",
    "s3_service",
    "unmigrated_postgres_url",
]
