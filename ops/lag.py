"""How far the readers of the bus are behind, as numbers for monitors.

Law: it asks and moves nothing. Readers that fold are left out: their cursor stands at the start of
the oldest open session as long as that is open, however fast they are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from bus.stage import Ctx

GROUPS = ("senses", "recorder", "render_queue", "lease_desk", "ring_sweep", "native_clips")
"""Readers that commit as they go, by the name of their stage."""

EVERY_S = 15.0


class LagWatch:
    """Stage: tells the lag of each reader, over all of its partitions."""

    name = "lag"

    def __init__(self, groups: Sequence[str] = GROUPS, every_s: float = EVERY_S) -> None:
        """`every_s`: pause between two looks, seconds."""
        self._groups = tuple(groups)
        self._every_s = every_s

    async def run(self, ctx: Ctx) -> None:
        """Look every now and then until drained.

        Raises:
            BusError: the bus does not answer.
        """
        while not ctx.draining.is_set():
            await self.look(ctx)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await ctx.draining.wait()

    async def look(self, ctx: Ctx) -> None:
        """Ask once; a reader that nobody has started tells nothing.

        Raises:
            BusError: the bus does not answer.
        """
        for group in self._groups:
            behind = await ctx.bus.lag(group)
            if not behind:
                continue
            messages = sum(lag.messages for lag in behind)
            oldest_s = max(lag.seconds for lag in behind)
            ctx.meter.gauge("clipthat_bus_lag_messages", messages, group=group)
            ctx.meter.gauge("clipthat_bus_lag_seconds", oldest_s, group=group)
