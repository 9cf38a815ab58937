"""What can be set about the local bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalBusSettings:
    """How the local durable log keeps events and shares them out."""

    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """`FULL` survives a power cut; `NORMAL` survives a killed process and is several times
    faster when events come one by one."""
    lease_s: float = 30.0
    """A member of a group that has not been heard of for this long loses its partitions."""
    heartbeat_s: float = 10.0
    """How often members are heard of; well below `lease_s`."""
    poll_s: float = 0.05
    """How often a waiting reader looks for events of other processes."""
    busy_timeout_s: float = 10.0
    """How long a write waits for another process that is writing."""
    retention_s: float = 48 * 3600.0
    """Events older than this are removed once every group has read them."""
    retention_max_s: float = 7 * 24 * 3600.0
    """Events older than this are removed though a group has not read them; dead letters too."""
    trim_every_s: float = 600.0
    """How often old events are looked for."""
    size_max_bytes: int = 16 * 1024**3
    """The log's file never grows beyond this; publishing then fails with a clear error."""
