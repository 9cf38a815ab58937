"""What a consumer can rely on that handles records side by side, over a real log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from bus.consume import consume_each
from bus.errors import Unavailable
from bus.events import ChatWindow
from bus.ports import Bus, Record
from bus.stage import Ctx
from tests.bus.conftest import OpenBus
from tests.bus.world import windows

LIMIT_S = 60.0


class Desk:
    """Takes windows; each is done when the test says so, or at once."""

    def __init__(self, *, waits: bool = False) -> None:
        self.begun: list[int] = []
        self.done: list[int] = []
        self.news = asyncio.Event()
        self.waits = waits
        self.allowed: dict[int, asyncio.Event] = {}
        self.failing: dict[int, list[Exception]] = {}

    async def take(self, record: Record) -> None:
        assert isinstance(record.event, ChatWindow)
        second = record.event.messages
        self.begun.append(second)
        self.news.set()
        if self.failing.get(second):
            raise self.failing[second].pop(0)
        if self.waits:
            await self.allowed.setdefault(second, asyncio.Event()).wait()
        self.done.append(second)
        self.news.set()

    def allow(self, *seconds: int) -> None:
        for second in seconds:
            self.allowed.setdefault(second, asyncio.Event()).set()

    async def until_begun(self, *seconds: int) -> None:
        await self._until(lambda: set(seconds) <= set(self.begun))

    async def until_done(self, *seconds: int) -> None:
        await self._until(lambda: set(seconds) <= set(self.done))

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not is_so():
                self.news.clear()
                await self.news.wait()


def running(bus: Bus, desk: Desk, in_hand_max: int = 10) -> tuple[Ctx, asyncio.Task[None]]:
    ctx = Ctx(bus=bus)
    work = consume_each(
        ctx, "desk", ["chat"], desk.take, in_hand_max=in_hand_max, retry_first_s=0.001
    )
    return ctx, asyncio.create_task(work)


async def drained(ctx: Ctx, task: asyncio.Task[None]) -> None:
    ctx.draining.set()
    async with asyncio.timeout(LIMIT_S):
        await task


async def left(bus: Bus) -> Sequence[int]:
    """Return what another member of the group would be given."""
    async with bus.subscribe("desk", ["chat"]) as subscription:
        records = await subscription.fetch(100, 0.0)
    return [r.event.messages for r in records if isinstance(r.event, ChatWindow)]


async def test_a_record_need_not_wait_for_those_before_it(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish(windows(4))
        desk = Desk(waits=True)
        ctx, task = running(bus, desk)
        desk.allow(2)
        await desk.until_done(2)
        assert desk.done == [2]
        desk.allow(0, 1, 3)
        await desk.until_done(0, 1, 3)
        await drained(ctx, task)
        assert await left(bus) == []


async def test_no_more_are_in_hand_than_may_be(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish(windows(5))
        desk = Desk(waits=True)
        ctx, task = running(bus, desk, in_hand_max=2)
        await desk.until_begun(0, 1)
        desk.allow(1)
        await desk.until_begun(2)
        assert sorted(desk.begun) == [0, 1, 2]
        desk.allow(*range(5))
        await desk.until_done(*range(5))
        await drained(ctx, task)
        assert await left(bus) == []


async def test_who_is_cancelled_commits_nothing_that_is_not_done(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish(windows(4))
        desk = Desk(waits=True)
        desk.allow(0, 2)
        _, task = running(bus, desk)
        await desk.until_done(0, 2)
        await desk.until_begun(1, 3)
        task.cancel()
        await asyncio.wait([task])
        assert {1, 2, 3} <= set(await left(bus))


async def test_a_drain_finishes_what_is_in_hand(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish(windows(2))
        desk = Desk(waits=True)
        ctx, task = running(bus, desk)
        await desk.until_begun(0, 1)
        ctx.draining.set()
        desk.allow(0, 1)
        await drained(ctx, task)
        assert await left(bus) == []


async def test_a_slip_is_tried_again_and_a_poison_record_is_put_aside(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish(windows(4))
        desk = Desk()
        desk.failing = {1: [ValueError("slip")], 2: [ValueError("poison")] * 3}
        ctx, task = running(bus, desk)
        await desk.until_done(0, 1, 3)
        await drained(ctx, task)
        assert desk.begun.count(2) == 3
        assert [letter.error for letter in await bus.dead_letters("chat")] == ["ValueError: poison"]
        assert await left(bus) == []


async def test_an_outage_stops_the_reader_and_blames_no_record(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish(windows(3))
        desk = Desk(waits=True)
        desk.allow(0)
        desk.failing = {1: [Unavailable("no database")]}
        _, task = running(bus, desk)
        with pytest.raises(Unavailable, match="no database"):
            async with asyncio.timeout(LIMIT_S):
                await task
        assert await bus.dead_letters("chat") == []
        assert {1, 2} <= set(await left(bus))
