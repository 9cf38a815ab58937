"""Whatever freezes, fails or comes late: of two workers one alone may write at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bus.ports import SilentMeter
from store.held_lease import HeldLease
from store.lease_keeper import LeaseKeeper
from store.leases import Beat, Lease, LeaseLost, LeasesAway, Want
from tests.doubles.hand_timer import HandTimer

GOOD_S, BEAT_S, STEP_S = 15.0, 4.0, 1.0


@dataclass
class Row:
    """The one piece of work, as the database has it."""

    owner: str = ""
    token: int = 0
    until_s: float = 0.0


@dataclass
class Truth:
    """The database and its clock, which is never frozen."""

    now_s: float = 1_000.0
    row: Row = field(default_factory=Row)
    written: list[tuple[str, int]] = field(default_factory=list)


class Line:
    """Implements `store.leases.Leases` for one worker; its answers may be late or lost."""

    def __init__(self, truth: Truth, worker: str) -> None:
        self._truth, self._worker = truth, worker
        self.state: Literal["up", "down", "deaf"] = "up"
        """`deaf`: requests arrive and their answers are lost."""
        self.late = asyncio.Event()
        self.late.set()

    async def acquire(self, want: Want) -> list[Lease]:
        self._sent()
        row, taken = self._truth.row, []
        if row.until_s <= self._truth.now_s:
            row.owner, row.token = self._worker, row.token + 1
            row.until_s = self._truth.now_s + GOOD_S
            taken = [
                Lease(kind="ingest", id="a", token=row.token, good_for_s=GOOD_S, tenant_id="t")
            ]
        await self._answered()
        return taken

    async def heartbeat(self, held: Sequence[Lease]) -> Beat:
        self._sent()
        row = self._truth.row
        kept = row.owner == self._worker and [one.token for one in held] == [row.token]
        if kept:
            row.until_s = self._truth.now_s + GOOD_S
        await self._answered()
        return Beat(kept={"a": GOOD_S}) if kept else Beat(lost=("a",))

    async def complete(self, lease: Lease, result: Mapping[str, Any]) -> None:
        raise AssertionError("this work never ends")

    async def release(self, lease: Lease, reason: str) -> None:
        self._sent()
        row = self._truth.row
        if (row.owner, row.token) == (self._worker, lease.token):
            row.owner, row.until_s = "", self._truth.now_s
        await self._answered()

    def _sent(self) -> None:
        if self.state == "down":
            raise LeasesAway("the line is cut")

    async def _answered(self) -> None:
        await self.late.wait()
        if self.state != "up":
            raise LeasesAway("the answer is lost")


class Worker:
    """A keeper with a clock of its own, and work that writes whenever it is let."""

    def __init__(self, truth: Truth, name: str) -> None:
        self._truth, self.name = truth, name
        self.line, self.timer = Line(truth, name), HandTimer(now_s=0.0)
        self.held: HeldLease | None = None
        self.frozen_s: float | None = None
        self._keeper = LeaseKeeper(
            self.line,
            Want(kind="ingest", capacity=1),
            self._work,
            beat_s=BEAT_S,
            timer=self.timer,
        )

    async def run(self, draining: asyncio.Event) -> None:
        await self._keeper.run(draining, SilentMeter())

    async def _work(self, held: HeldLease) -> None:
        self.held = held
        try:
            await asyncio.Event().wait()
        finally:
            self.held = None

    def write(self) -> None:
        """Write if the lease allows it; no other may hold the work then."""
        if self.held is None:
            return
        try:
            self.held.check()
        except LeaseLost:
            return
        row, mine = self._truth.row, self.held.lease.token
        assert row.token == mine, f"{self.name} writes by token {mine} and {row.token} is given"
        self._truth.written.append((self.name, mine))

    def passes(self, seconds: float) -> None:
        """Let time pass; a frozen worker's clock goes on and nothing of it runs."""
        if self.frozen_s is None:
            self.timer.advance(seconds)
        else:
            self.timer.now_s += seconds


Act = tuple[Literal["wait", "line", "late", "freeze"], int, Any]
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 25)),
        st.tuples(st.just("line"), st.integers(0, 1), st.sampled_from(["up", "down", "deaf"])),
        st.tuples(st.just("late"), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("freeze"), st.integers(0, 1), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@example(
    # The answer to a heartbeat comes late, and nothing comes through after it.
    [
        *(("wait", 0, 3), ("late", 0, True), ("wait", 0, 10), ("late", 0, False)),
        *(("wait", 0, 1), ("line", 0, "down"), ("wait", 0, 20)),
    ]
)
@given(ACTS)
def test_one_alone_writes(acts: list[Act]) -> None:
    asyncio.run(_play(acts))


async def _play(acts: list[Act]) -> None:
    truth, draining = Truth(), asyncio.Event()
    workers = [Worker(truth, "ann"), Worker(truth, "bob")]
    tasks = [asyncio.create_task(worker.run(draining)) for worker in workers]
    for what, who, value in acts:
        worker = workers[who]
        if what == "line":
            worker.line.state = value
        elif what == "late":
            (worker.line.late.clear if value else worker.line.late.set)()
        elif what == "freeze":
            worker.frozen_s = 0.0 if value else None
            worker.write()
        else:
            for _ in range(value):
                await _second(truth, workers)
    for worker in workers:
        worker.frozen_s, worker.line.state = None, "up"
        worker.line.late.set()
    for _ in range(round(2 * GOOD_S)):
        await _second(truth, workers)
    assert truth.written, "the work is done by somebody once all is well"
    draining.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    assert truth.row.owner == ""


async def _second(truth: Truth, workers: Sequence[Worker]) -> None:
    truth.now_s += STEP_S
    for worker in workers:
        worker.passes(STEP_S)
        # Right after time has passed, before anything else of the process has run.
        if worker.frozen_s is None:
            worker.write()
    for _ in range(12):
        await asyncio.sleep(0)
    for worker in workers:
        if worker.frozen_s is None:
            worker.write()
