"""Keeps watching channels: whenever one is live, its session runs."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from bus.stage import Ctx, Stage
from ingest.errors import SourceGone, SourceUnusable

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0
SPREAD = 0.3
"""A look comes earlier than it must by up to this share, so that many channels never look at
once."""


class Hints(Protocol):
    """Who may hear that a channel has gone online or offline before a look would tell."""

    async def changed(self, login: str, timeout_s: float) -> None:
        """Wait until a change is heard of, `timeout_s` at most."""
        ...

    async def forget(self, login: str) -> None:
        """Hear of a channel no more."""
        ...


class NoHints:
    """Hears of nothing."""

    async def changed(self, login: str, timeout_s: float) -> None:
        """Wait `timeout_s`."""
        await asyncio.sleep(timeout_s)

    async def forget(self, login: str) -> None:
        """Do nothing."""


class ChannelWatch(Stage, Protocol):
    """A stage that watches one channel once."""

    watching: asyncio.Event
    """Set once it has found something to watch."""

    async def end_lost(self, ctx: Ctx) -> bool:
        """End sessions that nobody has carried on for too long; return whether none is open."""
        ...


class KeepWatching:
    """Watches one channel, broadcast after broadcast, until the process drains."""

    def __init__(
        self,
        channel: str,
        make_watch: Callable[[], Awaitable[ChannelWatch]],
        look_every_s: float = LOOK_EVERY_S,
        *,
        login: str = "",
        hints: Hints | None = None,
        stop: asyncio.Event | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`look_every_s`: longest wait between a watch that ended and the next.

        `login`: whose hints are heard; empty: nobody's. `stop` is set when the channel is not to be
        watched any more; its watch must end by it too. `chance` gives 0 to 1.
        """
        self._channel = channel
        self._make_watch = make_watch
        self._look_every_s = look_every_s
        self._login = login
        self._hints: Hints = hints if hints is not None and login else NoHints()
        self._stop = stop or asyncio.Event()
        self._chance = chance
        self._owes_end = True
        self.phase = "connecting"
        """`connecting`, `watching`, `offline`, `unusable`."""
        self.detail = ""
        """What a person may want to know of it."""

    @property
    def name(self) -> str:
        """The stage's name."""
        return f"watch {self._channel}"

    @property
    def state(self) -> str:
        """What the status page says of the channel."""
        words = {"connecting": "starting", "unusable": "cannot be watched"}
        said = words.get(self.phase, self.phase)
        return f"{said}: {self.detail}" if self.detail else said

    async def run(self, ctx: Ctx) -> None:
        """Watch whenever there is something to watch."""
        while not self._over(ctx):
            watch: ChannelWatch | None = None
            try:
                watch = await self._make_watch()
                await self._watch(ctx, watch)
                self._say("offline", "waiting for the next broadcast")
            except SourceGone as gone:
                self._say("offline", str(gone))
            except SourceUnusable as error:
                if (self.phase, self.detail) != ("unusable", str(error)):
                    log.error("channel cannot be watched", extra={"channel": self._channel})
                self._say("unusable", str(error))
            if watch is not None and self._owes_end and not self._over(ctx):
                self._owes_end = not await watch.end_lost(ctx)
            await self._pause(ctx)

    async def _watch(self, ctx: Ctx, watch: ChannelWatch) -> None:
        """Run a watch, and say so once it has found something to watch."""
        running = asyncio.create_task(watch.run(ctx))
        waits = {
            asyncio.create_task(event.wait())
            for event in (watch.watching, self._stop, ctx.draining)
        }
        try:
            await asyncio.wait({running, *waits}, return_when=asyncio.FIRST_COMPLETED)
            if watch.watching.is_set():
                self._owes_end = True
                self._say("watching", "")
            elif self._over(ctx) and not running.done():
                return
            await running
        finally:
            await _cancel(running, *waits)

    def _over(self, ctx: Ctx) -> bool:
        return ctx.draining.is_set() or self._stop.is_set()

    def _say(self, phase: str, detail: str) -> None:
        self.phase, self.detail = phase, detail

    async def _pause(self, ctx: Ctx) -> None:
        """Wait for a hint, or until it is time to look by ourselves."""
        if self._over(ctx):
            return
        pause_s = self._look_every_s * (1 - SPREAD * self._chance())
        waits = {
            asyncio.create_task(ctx.draining.wait()),
            asyncio.create_task(self._stop.wait()),
            asyncio.create_task(self._hints.changed(self._login, pause_s)),
        }
        try:
            await asyncio.wait(waits, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(*waits)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """End tasks; those that have ended are left as they are."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
