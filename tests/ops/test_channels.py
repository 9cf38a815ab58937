"""A channel is watched whenever it is there, however often it is not."""

from __future__ import annotations

import asyncio

import pytest

from bus.stage import Ctx
from ingest.errors import SourceGone, SourceUnusable
from ops.channels import KeepWatching


class NoBus:
    """A context needs a bus; these stages never use it."""


class Broadcast:
    """A watch that does what the test says."""

    name = "watch"

    def __init__(self, ctx: Ctx, error: Exception | None, *, last: bool) -> None:
        self._ctx = ctx
        self._error = error
        self._last = last

    async def run(self, ctx: Ctx) -> None:
        if self._last:
            self._ctx.draining.set()
        if self._error is not None:
            raise self._error


@pytest.mark.parametrize("where", ["making", "watching"])
@pytest.mark.parametrize("error", [SourceGone("no stream"), SourceUnusable("locked")])
async def test_a_channel_that_is_down_is_looked_at_again(error: Exception, where: str) -> None:
    ctx = Ctx(bus=NoBus())  # type: ignore[arg-type]
    script = [error, error, None, error, None]
    states: list[str] = []

    async def make_watch() -> Broadcast:
        states.append(channel.state)
        place = len(states) - 1
        if where == "making" and script[place] is not None:
            raise error
        return Broadcast(ctx, script[place], last=place == len(script) - 1)

    channel = KeepWatching("somebody", make_watch, look_every_s=0.001)
    await asyncio.wait_for(channel.run(ctx), 30)
    assert len(states) == len(script)
    assert channel.state.startswith("offline")


async def test_the_state_says_why_nothing_is_watched() -> None:
    ctx = Ctx(bus=NoBus())  # type: ignore[arg-type]

    async def make_watch() -> Broadcast:
        return Broadcast(ctx, SourceGone("http://a.test answered 404"), last=True)

    channel = KeepWatching("somebody", make_watch)
    await asyncio.wait_for(channel.run(ctx), 30)
    assert channel.state == "offline: http://a.test answered 404"
