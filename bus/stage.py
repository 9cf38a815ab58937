"""A thing that runs: the one shape that the supervisor knows.

Law: a stage may be killed at any instant and started again; what it must not forget is on the bus.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from bus.ports import Bus, Meter, SilentMeter, TopicPartition


@dataclass(frozen=True, kw_only=True, slots=True)
class Ctx:
    """What every stage is handed when it runs."""

    bus: Bus
    meter: Meter = field(default_factory=SilentMeter)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at SIGTERM: finish what is in hand, take nothing new, return."""
    suspects: dict[tuple[str, TopicPartition, int], int] = field(default_factory=dict)
    """Records (group, place, offset) that were in hand when a folding stage broke, and how often;
    kept here so that they are known when the stage has been started again."""


class Stage(Protocol):
    """A part that runs until it is done, drained or cancelled."""

    @property
    def name(self) -> str:
        """A short word for logs and metrics, such as `senses`."""
        ...

    async def run(self, ctx: Ctx) -> None:
        """Work until nothing is left to do, `ctx.draining` is set or the task is cancelled."""
        ...
