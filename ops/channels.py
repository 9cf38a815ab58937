"""Keeps watching channels: whenever one is live, its session runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from bus.stage import Ctx, Stage
from ingest.errors import SourceGone, SourceUnusable

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0


class KeepWatching:
    """Watches one channel, broadcast after broadcast, until the process drains."""

    def __init__(
        self,
        channel: str,
        make_watch: Callable[[], Awaitable[Stage]],
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """`look_every_s`: how long to wait between a watch that ended and the next."""
        self._channel = channel
        self._make_watch = make_watch
        self._look_every_s = look_every_s
        self.state = "starting"
        """What the status page says of the channel."""

    @property
    def name(self) -> str:
        """The stage's name."""
        return f"watch {self._channel}"

    async def run(self, ctx: Ctx) -> None:
        """Watch whenever there is something to watch."""
        while not ctx.draining.is_set():
            try:
                self.state = "watching"
                watch = await self._make_watch()
                await watch.run(ctx)
                self.state = "offline: waiting for the next broadcast"
            except SourceGone as gone:
                self.state = f"offline: {gone}"
            except SourceUnusable as error:
                self.state = f"cannot be watched: {error}"
                log.error("channel cannot be watched", extra={"channel": self._channel})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ctx.draining.wait(), self._look_every_s)
