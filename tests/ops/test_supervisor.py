"""The supervisor restarts what breaks, ends what is fatal and drains in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from bus.stage import Ctx
from ops.errors import StageBroken
from ops.supervisor import Supervisor, SupervisorSettings

FAST = SupervisorSettings(restart_first_s=0.001, restart_max_s=0.002, drain_s=0.05)


@dataclass
class Scripted:
    """A stage that does what the test says, once for each start."""

    name: str
    body: Callable[[int, Ctx], Awaitable[None]]
    starts: int = 0

    async def run(self, ctx: Ctx) -> None:
        self.starts += 1
        await self.body(self.starts, ctx)


@dataclass
class CountingMeter:
    counts: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + by

    def gauge(self, name: str, value: float, **labels: str) -> None:
        raise AssertionError("the supervisor sets no gauge")

    def observe(self, name: str, value: float, **labels: str) -> None:
        raise AssertionError("the supervisor observes nothing")


class NoBus:
    """A context needs a bus; these stages never use it."""


def context(meter: CountingMeter | None = None) -> Ctx:
    return Ctx(bus=NoBus(), meter=meter or CountingMeter())  # type: ignore[arg-type]


async def test_a_stage_that_breaks_is_started_again_and_counted() -> None:
    async def body(start: int, ctx: Ctx) -> None:
        if start < 4:
            raise RuntimeError("broken")

    meter = CountingMeter()
    stage = Scripted("shaky", body)
    await Supervisor(context(meter), FAST).run([stage])
    assert stage.starts == 4
    assert meter.counts == {"clipthat_stage_restarts_total": 3}


async def test_a_fatal_error_ends_everything_and_keeps_its_message() -> None:
    cancelled = asyncio.Event()

    async def forever(start: int, ctx: Ctx) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def broken(start: int, ctx: Ctx) -> None:
        raise ValueError("this file is no video")

    supervisor = Supervisor(context(), FAST, fatal=(ValueError,))
    with pytest.raises(StageBroken, match="this file is no video"):
        await supervisor.run([Scripted("a", forever), Scripted("b", broken)])
    assert cancelled.is_set()


async def test_draining_lets_stages_return_and_cancels_the_one_that_hangs() -> None:
    returned: list[str] = []

    async def polite(start: int, ctx: Ctx) -> None:
        await ctx.draining.wait()
        returned.append("polite")

    async def stubborn(start: int, ctx: Ctx) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            returned.append("stubborn, cancelled")
            raise

    ctx = context()
    supervising = asyncio.create_task(
        Supervisor(ctx, FAST).run([Scripted("p", polite), Scripted("s", stubborn)])
    )
    await asyncio.sleep(0)
    ctx.draining.set()
    await supervising
    assert returned == ["polite", "stubborn, cancelled"]


async def test_a_broken_stage_is_not_restarted_while_draining() -> None:
    async def body(start: int, ctx: Ctx) -> None:
        ctx.draining.set()
        raise RuntimeError("broken at shutdown")

    stage = Scripted("late", body)
    await Supervisor(context(), FAST).run([stage])
    assert stage.starts == 1


async def test_a_fatal_error_in_a_group_of_tasks_is_fatal_too() -> None:
    async def broken(start: int, ctx: Ctx) -> None:
        async def part() -> None:
            raise ValueError("the disk is full")

        async with asyncio.TaskGroup() as group:
            group.create_task(part())

    with pytest.raises(StageBroken, match="the disk is full"):
        await Supervisor(context(), FAST, fatal=(ValueError,)).run([Scripted("grouped", broken)])
