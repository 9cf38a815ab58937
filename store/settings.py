"""What can be set about fetching from the network, and about stores of objects."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchSettings:
    """What may be fetched, and with how much patience."""

    allow_private: bool = False
    """Allow addresses of this machine and of private networks; for tests and labs only."""
    connect_timeout_s: float = 5.0
    """How long a connection may take to open."""
    redirects_max: int = 5
    """How many redirects are followed."""
    connections_max: int = 256
    """Open connections in all."""
    connections_per_host_max: int = 64
    """Open connections to one host."""
    resolved_for_s: float = 30.0
    """How long a resolved and checked name is used before it is resolved again."""
    segment_max_bytes: int = 64 * 1024 * 1024
    """A media segment, or an initialisation section, may not be larger."""
    segment_timeout_s: float = 30.0
    """How long one segment may take when it is read again from its source."""
    user_agent: str = "clipthat/0.1"
    """How we introduce ourselves to servers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectsSettings:
    """How a bucket is reached. Its keys come from where the cloud's own tools find them."""

    endpoint_url: str = ""
    """Address of an S3-compatible server, such as `http://127.0.0.1:9000`, or with `gs://` of one
    that speaks Google's XML API; the cloud's own, or `AWS_ENDPOINT_URL` or `GOOGLE_BASE_URL`, when
    empty."""
    region: str = ""
    """Region of an S3 bucket; `AWS_REGION` when empty."""
    connect_timeout_s: float = 5.0
    """How long a connection may take to open."""
    stall_s: float = 20.0
    """An answer that brings nothing for so long is given up and asked for again."""
    retries_max: int = 8
    """How often a request that failed by no fault of ours is made again."""
    retry_first_s: float = 0.1
    """Pause before the first retry; doubles with each further one, with chance."""
    retry_max_s: float = 5.0
    """Longest pause between retries."""
    retry_for_s: float = 120.0
    """No retry begins later than this after the first try."""
    link_ttl_s: float = 900.0
    """How long an address that a bucket has signed is good; 900 at most."""
