"""A worker's own side of leases: what it takes, keeps, drops at once and hands in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bus.ports import SilentMeter
from store.errors import StorageFull
from store.held_lease import HeldLease
from store.lease_keeper import LEAVE_S, LeaseKeeper
from store.leases import Lease, LeaseLost, LeasesAway, LeasesRefused, Want
from tests.doubles.hand_timer import HandTimer
from tests.doubles.leases import GOOD_S, Desk

BEAT_S = 4.0
RESULT = {"made": True}


@dataclass
class World:
    """A keeper at work, and all that a test may turn."""

    desk: Desk = field(default_factory=Desk)
    timer: HandTimer = field(default_factory=HandTimer)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    ends: dict[str, asyncio.Future[Mapping[str, Any] | None]] = field(default_factory=dict)
    """By work: set its result, and the work ends."""
    begun: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    """Work that was cancelled."""
    held: dict[str, HeldLease] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    winding_down: asyncio.Event = field(default_factory=asyncio.Event)
    """Work that is cancelled ends once it is set."""

    def __post_init__(self) -> None:
        self.winding_down.set()

    async def work(self, held: HeldLease) -> Mapping[str, Any] | None:
        work_id = held.lease.id
        self.begun.append(work_id)
        self.held[work_id] = held
        self.ends[work_id] = asyncio.get_running_loop().create_future()
        try:
            return await self.ends[work_id]
        except asyncio.CancelledError:
            await self.winding_down.wait()
            self.cut.append(work_id)
            raise

    async def note_refused(self, lease: Lease) -> None:
        self.refused.append(lease.id)

    def keeper(self, capacity: int = 2, *, finishes: bool = False) -> LeaseKeeper:
        return LeaseKeeper(
            self.desk,
            Want(kind="render", capacity=capacity),
            self.work,
            beat_s=BEAT_S,
            finishes=finishes,
            leave=self.leave,
            refused=self.note_refused,
            timer=self.timer,
        )

    @asynccontextmanager
    async def running(
        self, *work: str, capacity: int = 2, finishes: bool = False
    ) -> AsyncIterator[LeaseKeeper]:
        keeper = self.keeper(capacity, finishes=finishes)
        self.desk.waiting += work
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(keeper.run(self.draining, SilentMeter()))
            await settled()
            yield keeper
            self.desk.fails.clear()
            self.draining.set()
            for end in self.ends.values():
                if not end.done():
                    end.set_result(None)

    async def passes(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds * 4)):
            self.timer.advance(0.25)
            await settled()

    async def ends_with(self, work_id: str, result: Mapping[str, Any] | Exception | None) -> None:
        if isinstance(result, Exception):
            self.ends[work_id].set_exception(result)
        else:
            self.ends[work_id].set_result(result)
        await settled()


async def settled() -> None:
    """Let everybody do what can be done without time passing."""
    for _ in range(30):
        await asyncio.sleep(0)


async def test_no_more_is_taken_than_there_is_room_for_and_room_is_used_at_once() -> None:
    world = World()
    async with world.running("a", "b", "c"):
        assert world.begun == ["a", "b"]
        await world.passes(3)
        assert world.begun == ["a", "b"]
        await world.ends_with("a", RESULT)
        assert world.begun == ["a", "b", "c"]
    assert max(world.desk.asked) == 2
    assert ("done", "a") in world.desk.said


async def test_it_is_kept_for_as_long_as_it_is_renewed_and_given_back_at_a_drain() -> None:
    world = World()
    async with world.running("a"):
        await world.passes(10 * GOOD_S)
        assert world.cut == []
        assert world.desk.beats >= 10 * GOOD_S / BEAT_S - 1
        world.draining.set()
        await settled()
        assert world.cut == ["a"]
    assert world.desk.said == [("drain", "a")]


@pytest.mark.parametrize(("result", "told"), [(None, ("drain", "a")), (RESULT, ("done", "a"))])
async def test_work_that_finishes_is_waited_for_at_a_drain(
    result: Mapping[str, Any] | None, told: tuple[str, str]
) -> None:
    world = World()
    async with world.running("a", finishes=True):
        world.draining.set()
        await world.passes(GOOD_S)
        assert world.cut == []
        await world.ends_with("a", result)
        assert world.desk.said == [told]


async def test_a_worker_says_how_many_it_holds_and_takes_its_leave_while_work_ends() -> None:
    world = World()
    async with world.running("a", finishes=True):
        assert world.desk.wants == [Want(kind="render", capacity=2, slots=2)]
        world.draining.set()
        await settled()
        assert world.desk.wants[1:] == [Want(kind="render", capacity=0, slots=2, draining=True)]
        assert world.cut == []
    assert len(world.desk.wants) == 2


@pytest.mark.parametrize("told", [True, False])
async def test_a_leave_that_nobody_hears_holds_nobody_up(told: bool) -> None:
    world = World()
    keeper = world.keeper()
    if not told:
        # Nobody has answered before: then nobody is asked once more.
        world.desk.fails["acquire"] = LeasesAway("gone")
    running = asyncio.create_task(keeper.run(world.draining, SilentMeter()))
    await settled()
    world.desk.answers.clear()
    world.draining.set()
    await settled()
    if told:
        assert not running.done()
        world.timer.advance(LEAVE_S)
    await asyncio.wait_for(running, 60)
    assert len(world.desk.wants) == 1 + told


async def test_a_machine_that_is_taken_away_gives_all_back_at_once() -> None:
    world = World()
    async with world.running("a", "b", finishes=True):
        world.leave.set()
        world.draining.set()
        await settled()
        assert sorted(world.desk.said) == [("preempted", "a"), ("preempted", "b")]
    assert sorted(world.cut) == ["a", "b"]


async def test_what_is_lost_is_dropped_at_once_and_nothing_of_it_is_handed_in() -> None:
    world = World()
    async with world.running("a", "b"):
        world.desk.lost.append("a")
        await world.passes(BEAT_S)
        assert world.cut == ["a"]
        with pytest.raises(LeaseLost):
            world.held["a"].check()
        world.held["b"].check()
    assert [work for _, work in world.desk.said] == ["b"]


@pytest.mark.parametrize("error", [LeasesAway("gone"), LeasesRefused("who are you?")])
async def test_whoever_cannot_renew_stops_when_the_lease_is_over(error: Exception) -> None:
    world = World()
    async with world.running("a") as keeper:
        world.desk.fails["heartbeat"] = world.desk.fails["acquire"] = error
        await world.passes(GOOD_S - 0.5)
        assert world.cut == []
        world.held["a"].check()
        assert keeper.trouble
        assert keeper.refusal == isinstance(error, LeasesRefused)
        await world.passes(0.5)
        assert world.cut == ["a"]
    # What nobody else has taken meanwhile need not wait until it falls free.
    assert world.desk.said == [("over", "a")]


async def test_an_answer_that_comes_late_counts_from_when_it_was_asked_for() -> None:
    world = World()
    async with world.running("a"):
        world.desk.slow.clear()
        await world.passes(BEAT_S + 10)
        world.desk.slow.set()
        await settled()
        assert world.held["a"].left_s == pytest.approx(GOOD_S - 10)


async def test_a_worker_that_was_frozen_writes_nothing_when_it_thaws() -> None:
    world = World()
    async with world.running("a"):
        world.timer.advance(GOOD_S)
        # Nothing of this process has run yet, and the lease is over already.
        with pytest.raises(LeaseLost):
            world.held["a"].check()
        await settled()
        assert world.cut == ["a"]
    assert world.desk.said == [("over", "a")]


async def test_what_is_not_wanted_any_more_is_told_and_may_end_in_good_order() -> None:
    world = World()
    async with world.running("a"):
        world.desk.stop.append("a")
        await world.passes(BEAT_S)
        assert world.held["a"].stop.is_set()
        assert world.cut == []
        await world.ends_with("a", RESULT)
    assert world.desk.said == [("done", "a")]


async def test_a_result_is_handed_in_again_while_the_lease_is_good() -> None:
    world = World()
    async with world.running("a"):
        world.desk.fails["complete"] = LeasesAway("restarting")
        await world.ends_with("a", RESULT)
        await world.passes(3 * GOOD_S)
        assert world.desk.said == []
        del world.desk.fails["complete"]
        await world.passes(5)
        assert world.desk.said == [("done", "a")]


async def test_a_result_that_is_refused_is_undone() -> None:
    world = World()
    async with world.running("a"):
        world.desk.fails["complete"] = LeaseLost("token 1 is old")
        await world.ends_with("a", RESULT)
        assert world.refused == ["a"]
    assert world.desk.said == []


async def test_a_result_that_may_have_counted_is_not_undone() -> None:
    world = World()
    async with world.running("a"):
        world.desk.fails["complete"] = world.desk.fails["heartbeat"] = LeasesAway("gone")
        await world.ends_with("a", RESULT)
        await world.passes(GOOD_S)
        assert world.refused == []
    assert world.desk.said == []


async def test_work_that_breaks_is_left_to_fall_free_and_slows_the_worker_down() -> None:
    world = World()
    async with world.running("a", "b", capacity=1):
        await world.ends_with("a", ValueError("a fault of ours"))
        assert world.begun == ["a"]
        await world.passes(1)
        assert world.begun == ["a", "b"]
        assert world.desk.said == []


async def test_work_that_cannot_be_done_here_and_now_is_given_back() -> None:
    world = World()
    async with world.running("a"):
        await world.ends_with("a", StorageFull("the disk is full"))
        assert world.desk.said == [("unavailable", "a")]


async def test_work_that_comes_back_waits_until_its_own_past_has_ended() -> None:
    world = World()
    async with world.running("a"):
        world.winding_down.clear()
        world.desk.lost.append("a")
        await world.passes(BEAT_S)
        world.desk.lost.clear()
        world.desk.waiting.append("a")
        await world.passes(2)
        assert world.begun == ["a"]
        world.winding_down.set()
        await settled()
        assert world.begun == ["a", "a"]
        assert world.held["a"].lease.token == 2


@pytest.mark.parametrize(
    ("turn", "how", "told"),
    [
        (lambda _: None, "done", [("done", "a")]),
        (lambda world: world.draining.set(), "given_back", [("drain", "a")]),
        (lambda world: world.desk.lost.append("a"), "lost", []),
    ],
)
async def test_once_does_one_and_says_how_it_ended(
    turn: Callable[[World], None], how: str, told: list[tuple[str, str]]
) -> None:
    world = World()
    world.desk.waiting += ["a", "b"]
    running = asyncio.create_task(world.keeper().once(world.draining, SilentMeter()))
    await settled()
    turn(world)
    await world.passes(BEAT_S)
    if how == "done":
        await world.ends_with("a", RESULT)
    assert await asyncio.wait_for(running, 60) == how
    assert (world.begun, world.desk.said) == (["a"], told)


async def test_once_says_when_there_is_nothing_and_when_nobody_answers() -> None:
    world = World()
    assert await world.keeper().once(world.draining, SilentMeter()) is None
    world.desk.fails["acquire"] = LeasesAway("gone")
    with pytest.raises(LeasesAway):
        await world.keeper().once(world.draining, SilentMeter())
