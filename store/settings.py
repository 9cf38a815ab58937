"""What can be set about fetching from the network."""

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
