"""What can be set about Twitch's event socket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSubSettings:
    """How events of connected channels are heard."""

    connect_timeout_s: float = 10.0
    """Limit for connecting until the server's welcome."""
    keepalive_slack_s: float = 3.0
    """A socket is dead when nothing comes for so long beyond what its server has promised."""
    overlap_s: float = 2.0
    """When the server moves a session, the old socket is read for so long after the new one is
    open."""
    backoff_first_s: float = 0.5
    """Wait before the first reconnection; doubles each time."""
    backoff_max_s: float = 30.0
    """Longest wait between reconnections."""
    retry_first_s: float = 5.0
    """Wait before a subscription that failed is tried again; doubles each time."""
    recheck_s: float = 60.0
    """A channel that is not connected, or a subscription that Twitch has refused, is looked at
    again so often."""
    patience_s: float = 5.0
    """A connected channel's chat that is not heard for so long is read anonymously meanwhile."""
    frame_bytes_max: int = 1_048_576
    """A longer frame from the server ends the connection."""
    seen_ids_max: int = 5_000
    """So many deliveries are remembered to leave out those that come again."""
