"""Takes leases as there is room, keeps them, and has their work done.

Law: work runs under a good lease only; it is cancelled as soon as the lease is lost or over by the
worker's own clock, whoever may be frozen or cut off; what is given back is given back after its
work has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from bus.errors import BusError, MalformedEvent, Unavailable, UnknownEvent
from bus.ports import Meter, SilentMeter
from store.held_lease import HeldLease, SteadyTimer, Timer
from store.leases import Beat, Lease, LeaseError, LeaseLost, Leases, LeasesAway, LeasesRefused, Want

log = logging.getLogger(__name__)

Work = Callable[[HeldLease], Awaitable[Mapping[str, Any] | None]]
"""Does the work of a lease and returns its result; None: it is not done, another may take it."""

RETRY_S = 1.0
"""A request that failed is made again after so long, and after twice as long each time."""
RETRY_MAX_S = 4.0
LEAVE_S = 1.0
"""A worker that has ended its work waits for so long at the most until its leave is heard."""
BROKE_MAX_S = 15.0
"""A worker whose work breaks takes nothing new for so long at the most."""

Ended = Literal["done", "lost", "given_back", "broke"]
"""How a lease ends: its result is handed in, it is another's, it is given back undone, or its work
has failed and it is left to fall free."""


class LeaseKeeper:
    """A worker's leases of one kind."""

    def __init__(
        self,
        leases: Leases,
        want: Want,
        work: Work,
        *,
        beat_s: float,
        ask_s: float = 1.0,
        finishes: bool = False,
        leave: asyncio.Event | None = None,
        refused: Callable[[Lease], Awaitable[None]] | None = None,
        heard: Callable[[Beat], None] = lambda _: None,
        timer: Timer | None = None,
    ) -> None:
        """Keep nothing yet.

        Args:
            leases: where they come from.
            want: what is asked for; its capacity is how many are held at once.
            work: does the work of one.
            beat_s: how often they are renewed.
            ask_s: how often new ones are asked for while there is room.
            finishes: at a drain, work ends by itself; otherwise it is cancelled.
            leave: set when this machine is about to be taken away: all is given back at once.
            refused: is told of a result that was refused because the work is another's by now.
            heard: is told each heartbeat's answer, once it has been taken in.
            timer: a test's own time.
        """
        self._leases = leases
        self._want = replace(want, slots=want.capacity)
        self._work = work
        self._beat_s = beat_s
        self._ask_s = ask_s
        self._finishes = finishes
        self._leave = leave or asyncio.Event()
        self._refused = refused
        self._heard = heard
        self._timer: Timer = timer or SteadyTimer()
        self._draining = asyncio.Event()
        self._meter: Meter = SilentMeter()
        self._held: dict[str, HeldLease] = {}
        self._freed = asyncio.Event()
        self._broke_in_a_row = 0
        self._not_before_s = 0.0
        self._failures = 0
        self.trouble = ""
        """Why no leases come, while that is so; a sentence for ops."""
        self.refusal = False
        """Whether that is because of how this worker is set up."""

    @property
    def held(self) -> list[HeldLease]:
        """What is held."""
        return list(self._held.values())

    async def run(self, draining: asyncio.Event, meter: Meter) -> None:
        """Take, keep and do, until drained."""
        self._draining, self._meter = draining, meter
        self._held.clear()
        self._broke_in_a_row = self._failures = 0
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._beats(), name=f"beat {self._want.kind}")
            working: set[asyncio.Task[Ended]] = set()
            while not self._draining.is_set():
                for held in await self._ask():
                    before = self._held.get(held.lease.id)
                    self._held[held.lease.id] = held
                    task = group.create_task(self._hold(held, before))
                    working.add(task)
                    task.add_done_callback(working.discard)
                self._gauge()
                await self._pause()
            leaving = group.create_task(self._say_leaving(), name=f"leave {self._want.kind}")
            if working:
                await asyncio.wait(working)
            await _first({leaving, asyncio.ensure_future(self._timer.sleep(LEAVE_S))})
            beating.cancel()

    async def once(self, draining: asyncio.Event, meter: Meter) -> Ended | None:
        """Do the work of one lease; return how it ended, None when there was none.

        Raises:
            LeasesAway: nobody answers.
            LeasesRefused: this worker is not taken.
        """
        self._draining, self._meter = draining, meter
        asked_s = self._timer.now()
        taken = await self._leases.acquire(replace(self._want, capacity=1, slots=1, draining=True))
        if not taken:
            return None
        held = HeldLease(taken[0], asked_s, self._timer)
        self._held[held.lease.id] = held
        beating = asyncio.create_task(self._beats())
        try:
            return await self._hold(held, None)
        finally:
            beating.cancel()
            await asyncio.wait({beating})

    # --- asking ---

    async def _ask(self) -> list[HeldLease]:
        """Ask for as many as there is room for."""
        room = self._want.capacity - len(self._held)
        self._freed.clear()
        asked_s = self._timer.now()
        if room <= 0 or asked_s < self._not_before_s:
            return []
        try:
            taken = await self._leases.acquire(replace(self._want, capacity=room))
        except LeaseError as error:
            self._failed(error)
            return []
        self._answered()
        return [HeldLease(lease, asked_s, self._timer) for lease in taken]

    async def _say_leaving(self) -> None:
        """Tell that nothing more is taken, so that nobody waits for this worker."""
        if self._failures:
            return
        with contextlib.suppress(LeaseError):  # it is seen by its silence too
            await self._leases.acquire(replace(self._want, capacity=0, draining=True))

    async def _pause(self) -> None:
        """Wait until it is time to ask again, or there is room again."""
        pause_s = self._ask_s
        if self._failures:
            pause_s = _growing(RETRY_S, self._failures, RETRY_MAX_S)
        waits: set[asyncio.Future[Any]] = {
            asyncio.ensure_future(self._timer.sleep(pause_s)),
            asyncio.ensure_future(self._draining.wait()),
        }
        if not self._failures:
            waits.add(asyncio.ensure_future(self._freed.wait()))
        await _first(waits)

    # --- keeping ---

    async def _beats(self) -> None:
        """Renew what is held, for as long as there is anything."""
        failures = 0
        while True:
            pause_s = self._beat_s
            if failures:
                pause_s = min(pause_s, _growing(RETRY_S, failures, RETRY_MAX_S))
            await self._timer.sleep(pause_s)
            failures = 0 if await self._beat() else failures + 1

    async def _beat(self) -> bool:
        held = dict(self._held)
        if not held:
            return True
        asked_s = self._timer.now()
        try:
            beat = await self._leases.heartbeat([one.lease for one in held.values()])
        except LeaseError as error:
            self._failed(error)
            return False
        self._answered()
        for work_id, good_for_s in beat.kept.items():
            if work_id in held:
                held[work_id].renewed(asked_s, good_for_s)
        for work_id in beat.lost:
            if work_id in held:
                held[work_id].lost.set()
        for work_id in beat.stop:
            if work_id in held:
                held[work_id].stop.set()
        self._heard(beat)
        return True

    # --- doing ---

    async def _hold(self, held: HeldLease, before: HeldLease | None) -> Ended:
        """Have the work of one lease done, and see to its end."""
        try:
            if before is not None:
                # This worker had lost the same work and is about to let go of it.
                await before.ended.wait()
            ended = await self._do(held)
        finally:
            held.ended.set()
            if self._held.get(held.lease.id) is held:
                del self._held[held.lease.id]
            self._freed.set()
        self._gauge()
        self._meter.count("clipthat_worker_leases_ended_total", kind=self._want.kind, outcome=ended)
        return ended

    async def _do(self, held: HeldLease) -> Ended:
        work = asyncio.ensure_future(self._work(held))
        try:
            why = await self._until_over(held, work)
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        if why == "lost":
            log.warning("lease lost", extra=_named(held))
            return "lost"
        if why == "over":
            held.lost.set()
            # It may be nobody else's yet: then another need not wait until it falls free.
            await self._give_back(held, "over")
            return "lost"
        if why:
            return await self._give_back(held, why)
        return await self._settle(held, work)

    async def _until_over(
        self, held: HeldLease, work: asyncio.Future[Mapping[str, Any] | None]
    ) -> str:
        """Wait until the work has ended, or must be; return why it must be, empty when it has."""
        events = {"lost": held.lost, "preempted": self._leave}
        if not self._finishes:
            events["drain"] = self._draining
        waits = {name: asyncio.ensure_future(event.wait()) for name, event in events.items()}
        try:
            while (left_s := held.left_s) > 0 or work.done():
                over = asyncio.ensure_future(self._timer.sleep(left_s))
                ends: set[asyncio.Future[Any]] = {work, over, *waits.values()}
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    over.cancel()
                if work.done():
                    return ""
                for name, wait in waits.items():
                    if wait.done():
                        return name
            return "over"
        finally:
            for wait in waits.values():
                wait.cancel()

    async def _settle(
        self, held: HeldLease, work: asyncio.Future[Mapping[str, Any] | None]
    ) -> Ended:
        """Hand in what work that has ended gave."""
        error = work.exception()
        if isinstance(error, LeaseLost):
            held.lost.set()
            return "lost"
        if error is not None:
            self._broke_in_a_row += 1
            pause_s = _growing(RETRY_S, self._broke_in_a_row, BROKE_MAX_S)
            self._not_before_s = self._timer.now() + pause_s
            log.error("leased work broke", extra=_named(held), exc_info=error)
            if not _blames_work(error):
                return await self._give_back(held, "unavailable")
            # The work may be poison: it falls free by itself, and whoever hands it out counts that.
            return "broke"
        self._broke_in_a_row = 0
        result = work.result()
        if result is None:
            return await self._give_back(held, "drain" if self._draining.is_set() else "undone")
        return await self._complete(held, result)

    async def _complete(self, held: HeldLease, result: Mapping[str, Any]) -> Ended:
        failures = 0
        while held.left_s > 0:
            try:
                await self._leases.complete(held.lease, result)
                return "done"
            except LeaseLost:
                if self._refused is not None:
                    await self._refused(held.lease)
                break
            except LeasesAway as error:
                failures += 1
                self._failed(error)
            except LeasesRefused:
                log.exception("a result is refused", extra=_named(held))
                return "broke"
            await self._timer.sleep(min(held.left_s, _growing(RETRY_S, failures, RETRY_MAX_S)))
        held.lost.set()
        log.warning("result came too late", extra=_named(held))
        return "lost"

    async def _give_back(self, held: HeldLease, reason: str) -> Ended:
        with contextlib.suppress(LeaseError):  # it falls free by itself when its time is over
            await self._leases.release(held.lease, reason)
        log.info("lease given back", extra={**_named(held), "reason": reason})
        return "given_back"

    # --- telling ---

    def _failed(self, error: LeaseError) -> None:
        self._failures += 1
        refused = isinstance(error, LeasesRefused)
        if str(error) != self.trouble:
            log.warning("no leases", extra={"kind": self._want.kind, "detail": str(error)})
        self.trouble, self.refusal = str(error), refused
        self._meter.count(
            "clipthat_worker_control_failures_total",
            kind=self._want.kind,
            outcome="refused" if refused else "away",
        )

    def _answered(self) -> None:
        self._failures = 0
        self.trouble, self.refusal = "", False

    def _gauge(self) -> None:
        self._meter.gauge("clipthat_worker_leases", len(self._held), kind=self._want.kind)


def _named(held: HeldLease) -> dict[str, object]:
    lease = held.lease
    return {"kind": lease.kind, "work_id": lease.id, "lease_no": lease.token}


def _blames_work(error: BaseException) -> bool:
    if isinstance(error, MalformedEvent | UnknownEvent):
        return True
    return not isinstance(error, BusError | Unavailable)


def _growing(first_s: float, times: int, most_s: float) -> float:
    """Return a pause that doubles each time, from the first up to the most."""
    return min(most_s, first_s * 2.0 ** min(times - 1, 16))


async def _first(waits: set[asyncio.Future[Any]]) -> None:
    """Wait for the first of these, and end the others."""
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
