"""What a folding consumer can rely on, over a real log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import pytest

from bus.consume import fold
from bus.errors import Fenced, Unavailable
from bus.events import ChatWindow, Event, SessionEnded
from bus.ports import Record
from bus.stage import Ctx
from tests.bus.conftest import OpenBus
from tests.bus.test_contract import drained
from tests.bus.world import SteppedClock, ended, started, window

TOPICS = ("sessions", "chat")
LIMIT_S = 120.0


class Summing:
    """A folding stage: adds up the messages of each session."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}
        self.results: dict[str, int] = {}
        self.seen: list[tuple[str, str]] = []
        self.poison: tuple[str, int] | None = None
        self.error: Exception = ValueError("poison")
        self.after: Callable[[Event], Awaitable[None]] | None = None

    async def run(self, ctx: Ctx) -> None:
        self.sums.clear()
        await fold(ctx, "sum", TOPICS, self.take, self.sums.keys)

    async def take(self, records: Sequence[Record]) -> None:
        for record in records:
            event = record.event
            self.seen.append((type(event).__name__, event.session_id))
            if isinstance(event, ChatWindow):
                if (event.session_id, event.messages) == self.poison:
                    raise self.error
                self.sums[event.session_id] += event.messages
            elif isinstance(event, SessionEnded):
                self.results[event.session_id] = self.sums.pop(event.session_id)
            else:
                self.sums[event.session_id] = 0
            if self.after is not None:
                await self.after(event)


class Moving(Summing):
    """The same, letting go of what moves to another member."""

    def __init__(self, changed: asyncio.Event) -> None:
        super().__init__()
        self.begun = 0
        self._changed = changed

    async def run(self, ctx: Ctx) -> None:
        self.begun += 1
        self.after = self._note
        await fold(ctx, "sum", TOPICS, self.take, self.sums.keys, drop=self._drop)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    async def _note(self, _: Event) -> None:
        self._changed.set()

    async def _drop(self, session_ids: Collection[str]) -> None:
        for session_id in session_ids:
            self.sums.pop(session_id, None)
        self._changed.set()


async def run_until(stage: Summing, ctx: Ctx, last: Event) -> None:
    """Run the stage until it has taken an event, and drain it then."""

    async def drain(event: Event) -> None:
        if event == last:
            ctx.draining.set()

    stage.after = drain
    await asyncio.wait_for(stage.run(ctx), LIMIT_S)


async def test_an_open_session_is_read_again_from_its_start_after_a_restart(
    open_bus: OpenBus,
) -> None:
    async with open_bus() as bus:
        await bus.publish([started("a"), window(1, "a"), ended("a")])
        await bus.publish([started("b"), window(5, "b")])
        stage = Summing()
        await run_until(stage, Ctx(bus=bus), window(5, "b"))
        assert stage.results == {"a": 1}
        assert {lag.messages for lag in await bus.lag("sum")} == {0, 1}
    async with open_bus() as bus:
        await bus.publish([window(6, "b"), ended("b")])
        stage = Summing()
        await run_until(stage, Ctx(bus=bus), ended("b"))
        assert stage.results == {"b": 11}
        assert {session for _, session in stage.seen} == {"b"}
        assert {lag.messages for lag in await bus.lag("sum")} == {0}


async def test_the_tail_of_a_session_that_was_done_is_left_out(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish([started("done"), started("open")])
        await bus.publish([window(1, "open"), window(2, "done"), ended("done"), window(3, "open")])
        first = Summing()
        await run_until(first, Ctx(bus=bus), window(3, "open"))
        assert first.results == {"done": 2}
        await bus.publish([ended("open")])
        second = Summing()
        await run_until(second, Ctx(bus=bus), ended("open"))
        assert second.results == {"open": 4}
        assert ("ChatWindow", "done") not in second.seen
        assert {lag.messages for lag in await bus.lag("sum")} == {0}


async def test_a_poison_record_breaks_the_stage_three_times_and_is_left_out_then(
    open_bus: OpenBus,
) -> None:
    async with open_bus() as bus:
        await bus.publish([started("a"), window(1, "a"), window(2, "a"), window(3, "a")])
        await bus.publish([ended("a")])
        ctx, stage = Ctx(bus=bus), Summing()
        stage.poison = ("a", 2)
        for _ in range(3):
            with pytest.raises(ValueError, match="poison"):
                await asyncio.wait_for(stage.run(ctx), LIMIT_S)
        await run_until(stage, ctx, ended("a"))
        assert stage.results == {"a": 4}
        [letter] = await bus.dead_letters("chat")
        assert (letter.offset, letter.attempts, letter.error) == (1, 3, "ValueError: poison")


async def test_a_missing_service_blames_no_record(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish([started("a"), window(2, "a"), ended("a")])
        ctx, stage = Ctx(bus=bus), Summing()
        stage.poison, stage.error = ("a", 2), Unavailable("the store is down")
        for _ in range(5):
            with pytest.raises(Unavailable):
                await asyncio.wait_for(stage.run(ctx), LIMIT_S)
        stage.poison = None
        await run_until(stage, ctx, ended("a"))
        assert stage.results == {"a": 2}
        assert await bus.dead_letters("chat") == []


async def test_partitions_that_move_make_the_stage_begin_again(
    open_bus: OpenBus, clock: SteppedClock
) -> None:
    async with open_bus() as here, open_bus() as there:
        stage, taken = Summing(), asyncio.Event()

        async def note(_: Event) -> None:
            taken.set()

        stage.after = note
        await here.publish([started("a")])
        running = asyncio.create_task(stage.run(Ctx(bus=here)))
        await asyncio.wait_for(taken.wait(), LIMIT_S)
        clock.step(31.0)
        async with there.subscribe("sum", TOPICS) as heir:
            await drained(heir)
            with pytest.raises(Fenced):
                await asyncio.wait_for(running, LIMIT_S)


async def test_a_member_that_comes_takes_its_share_and_the_others_go_on(open_bus: OpenBus) -> None:
    names = [f"s{n}" for n in range(8)]
    starts = [started(name, channel=name) for name in names]
    async with open_bus() as here, open_bus() as there, open_bus() as writer:
        changed = asyncio.Event()
        first, second = Moving(changed), Moving(changed)
        await writer.publish([*starts, *(window(1, name, name) for name in names)])
        ctx_1, ctx_2 = Ctx(bus=here), Ctx(bus=there)
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            group.create_task(first.run(ctx_1))
            await first.until(lambda: len(first.sums) == 8)
            group.create_task(second.run(ctx_2))
            await first.until(lambda: len(first.sums) < 8)
            await second.until(lambda: set(first.sums) ^ set(second.sums) == set(names))
            # Topics that are written at once may overtake each other.
            await writer.publish([window(2, name, name) for name in names])
            await writer.publish([ended(name, name) for name in names])
            await first.until(lambda: set(first.results) | set(second.results) == set(names))
            ctx_1.draining.set()
            ctx_2.draining.set()
        assert first.results | second.results == dict.fromkeys(names, 3)
        assert first.results
        assert second.results
        assert (first.begun, second.begun) == (1, 1)
