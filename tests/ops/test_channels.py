"""A channel is watched whenever it is there, however often it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bus.stage import Ctx
from ingest.errors import SourceGone, SourceUnusable
from ops.channels import KeepWatching


class NoBus:
    """A context needs a bus; these stages never use it."""


class Broadcast:
    """A watch that does what the test says."""

    name = "watch"

    def __init__(
        self,
        ctx: Ctx,
        error: Exception | None,
        *,
        last: bool,
        ended: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ctx = ctx
        self._error = error
        self._last = last
        self._ended = ended
        self.watching = asyncio.Event()

    async def run(self, ctx: Ctx) -> None:
        if self._last:
            self._ctx.draining.set()
        if self._error is not None:
            raise self._error
        self.watching.set()

    async def end_lost(self, ctx: Ctx) -> bool:
        return self._ended()


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


async def test_what_was_left_open_is_ended_at_start_and_not_at_each_look() -> None:
    """Reading the log is dear: a channel that is offline for days reads it once."""
    ctx = Ctx(bus=NoBus())  # type: ignore[arg-type]
    looks: list[int] = []
    reads: list[int] = []
    answers = [False, True]

    def ended() -> bool:
        reads.append(len(looks))
        return answers[len(reads) - 1]

    async def make_watch() -> Broadcast:
        looks.append(1)
        return Broadcast(ctx, SourceGone("offline"), last=len(looks) == 6, ended=ended)

    await asyncio.wait_for(KeepWatching("a", make_watch, look_every_s=0.001).run(ctx), 30)
    assert len(looks) == 6
    assert reads == [1, 2]


class OneHint:
    """Hears at once that a channel has changed, as often as it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    async def changed(self, login: str, timeout_s: float) -> None:
        self.asked.append((login, timeout_s))

    async def forget(self, login: str) -> None:
        raise AssertionError("the channel stays on the list")


async def test_a_hint_ends_the_wait_and_looks_are_spread() -> None:
    ctx = Ctx(bus=NoBus())  # type: ignore[arg-type]
    hints, looks = OneHint(), []

    async def make_watch() -> Broadcast:
        looks.append(1)
        return Broadcast(ctx, SourceGone("offline"), last=len(looks) == 3)

    keep = KeepWatching(
        "a", make_watch, look_every_s=1000.0, login="a", hints=hints, chance=lambda: 0.5
    )
    await asyncio.wait_for(keep.run(ctx), 30)
    assert len(looks) == 3
    assert hints.asked == [("a", pytest.approx(850.0))] * 2
