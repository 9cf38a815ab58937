"""What can be set about leases: how long they are good, and who is given which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from store.leases import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseSettings:
    """How work is handed to workers on other machines, and taken over from those that die."""

    ingest_s: float = 15.0
    """A channel whose worker has not been heard of for so long is given to another one; half an
    origin's playlist window at most, so that no segment is missed."""
    ingest_beat_s: float = 4.0
    """How often a worker says that it still watches."""
    render_s: float = 30.0
    """A render whose worker has not been heard of for so long is given to another one."""
    render_beat_s: float = 10.0
    """How often a worker says that it still renders."""
    share_s: float = 3.0
    """A worker with room that has asked for channels within so many seconds gets its share of
    them before another one gets more than its own; workers with room must ask more often."""
    lost_max: int = 8
    """A render whose worker was lost more often than this is given up: it may kill its workers."""
    render_pool: Literal["cpu", "gpu"] = "cpu"
    """Who is to render: `cpu` lets every worker, `gpu` those with a GPU first."""
    gpu_wait_s: float = 60.0
    """Work for a GPU is given to others when it has waited for so long, or when no worker with a
    GPU has been heard of for so long."""
    fallback: Literal["cpu", "dedicated", "never"] = "cpu"
    """Who takes work for a GPU then: `cpu` lets every worker, `dedicated` those of that pool, and
    `never` lets it wait."""

    def good_for_s(self, kind: Kind) -> float:
        """Return how long a lease of this kind is good."""
        return self.ingest_s if kind == "ingest" else self.render_s

    def beat_s(self, kind: Kind) -> float:
        """Return how often a lease of this kind is renewed."""
        return self.ingest_beat_s if kind == "ingest" else self.render_beat_s
