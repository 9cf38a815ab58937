"""Being in a group on Kafka: joining, keeping partitions through a rebalance, being fenced.

Law: `owned` changes only between two calls of the reader, never while it has records in hand,
except when it has kept the group waiting for `hold_s` or was thrown out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition as KafkaPlace
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from bus.errors import BusError, Fenced
from bus.kafka_client import KafkaClient
from bus.ports import TopicPartition

log = logging.getLogger(__name__)

_CHECK_S = 0.5
"""Between two looks at whether the library still works on a share."""

Adopt = Callable[[Collection[TopicPartition], Collection[TopicPartition]], None]
"""Takes over a new share: all that is owned, and what of it was owned without a break."""


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """One consumer's place in its group."""

    def __init__(
        self,
        client: KafkaClient,
        group: str,
        topics: Sequence[str],
        clock: Callable[[], float],
        adopt: Adopt,
    ) -> None:
        self._client = client
        self._settings = client.settings
        self._group = group
        self._topics = topics
        self._clock = clock
        self._adopt = adopt
        self.consumer: Any = None
        self.owned: frozenset[TopicPartition] = frozenset()
        self.turn = 0
        """Rises whenever the share changes."""
        self._lost: set[TopicPartition] = set()
        self._refused: set[TopicPartition] = set()
        self._in_hand: dict[TopicPartition, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._settled = asyncio.Event()
        self._moved = asyncio.Event()
        self._join_until_s = 0.0
        self._unsettled_at_s = 0.0
        self._before = (-1, "")
        self._known_as = ""
        self._alive_at_s = clock()
        self._asleep: asyncio.Task[None] | None = None

    @property
    def has_news(self) -> bool:
        """Whether partitions have moved of which `settle` has not told yet."""
        return bool(self._lost)

    async def join(self) -> None:
        """Join, and wait up to `join_s` for a share; `leave` must follow in any case.

        Raises:
            BusError: no broker answers.
        """
        self.alive()
        await self._client.ensure(self._topics)
        self.consumer = self._client.member(self._group, self._topics)
        await self._client.ask(self.consumer.start(), self._settings.connect_s)
        await self._client.take_leave(self.consumer)
        self._settled.clear()
        self._unsettled_at_s = _now()
        self._join_until_s = _now() + self._settings.join_s
        self.consumer.subscribe([self._client.name(each) for each in self._topics], listener=self)
        await self.wait(self._settings.join_s)

    async def leave(self) -> None:
        """Leave the group, also after a join that failed."""
        self._idle.set()
        if self._asleep is not None:
            await self._asleep
        elif self.consumer is not None:
            await self._client.drop_member(self.consumer)

    def alive(self) -> None:
        """Note that the process is alive."""
        self._alive_at_s = self._clock()

    async def wait(self, timeout_s: float) -> None:
        """Wait until a share has been given, be it an empty one.

        Raises:
            BusError: none will come.
        """
        until_s = _now() + timeout_s
        while not self._settled.is_set():
            self.check()
            left_s = until_s - _now()
            if left_s <= 0:
                return
            await _within(min(left_s, _CHECK_S), self._settled)

    async def moves(self, timeout_s: float) -> None:
        """Wait until partitions move, for a member that has none."""
        self._moved.clear()
        await _within(timeout_s, self._moved)

    def check(self) -> None:
        """Notice what the library tells nobody who does not ask.

        Raises:
            BusError: the group refuses this member, a task of the library has died, or partitions
                have been moving for longer than they may.
        """
        if self._asleep is not None:
            return
        coordinator, fetcher = self.consumer._coordinator, self.consumer._fetcher
        for task in (coordinator._coordination_task, fetcher.error_future):
            if task.done():
                error = None if task.cancelled() else task.exception()
                raise BusError(f"{self._group}: the Kafka client has died: {error!r}")
        try:
            # It goes on after an error only when somebody has taken note of that.
            coordinator.check_errors()
        except KafkaError as error:
            raise BusError(f"{self._group}: {error!r}") from error
        limit_s = self._settings.rebalance_s + self._settings.stall_s
        if not self._settled.is_set() and _now() - self._unsettled_at_s > limit_s:
            raise BusError(f"{self._group} has had no share of the partitions for {limit_s:g} s")

    async def settle(self, until_s: float) -> None:
        """Wait while partitions move.

        Raises:
            Fenced: some have moved to others.
        """
        if self._asleep is not None:
            await self._asleep
            self._asleep = None
            await self.join()
        if not self._settled.is_set():
            await self.wait(max(until_s, self._join_until_s) - _now())
        if self._refused and self._settled.is_set():
            await self._read_again()
        if self._lost:
            lost = sorted(self._lost)
            self._lost.clear()
            names = ", ".join(f"{place.topic}/{place.partition}" for place in lost)
            raise Fenced(f"{self._group}: {names} moved to another member", lost)

    async def _read_again(self) -> None:
        """Give up what a refused commit told of, and read on from the group's own position.

        Whoever is fenced drops what is in hand; without this it would be passed over where the
        partition stays here after all.
        """
        turn, places = self.turn, self._refused & self.owned
        if places:
            told = [self._client.at_broker(place) for place in places]
            try:
                await self._client.ask(self.consumer.seek_to_beginning(*told))
                await self._client.ask(self.consumer.seek_to_committed(*told))
            except BusError:
                if turn == self.turn:
                    raise
        if turn == self.turn:
            self._refused.clear()
            self._lost |= places
            self._share(self.owned, self.owned - places)

    async def probe(self) -> None:
        """Ask the group's coordinator whether partitions are about to move."""
        coordinator = self.consumer._coordinator
        if self._settled.is_set() and coordinator.generation > 0:
            try:
                await self._client.ask(coordinator._do_heartbeat())
            except BusError as error:
                log.info("no heartbeat", extra={"group": self._group, "error": str(error)})
            if coordinator._rejoin_needed_fut.done():
                self._unsettle()

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the next offsets to read.

        Raises:
            Fenced: one of the partitions is no longer owned.
            BusError: the brokers do not answer.
        """
        foreign = [place for place in offsets if place not in self.owned]
        if foreign:
            raise Fenced(f"{self._group} no longer owns {foreign[0]}")
        told = {self._client.at_broker(place): offset for place, offset in offsets.items()}
        try:
            await self._client.ask(_fencing(self.consumer.commit(told)))
        except _Refused as refused:
            self._refused |= self.owned & set(offsets)
            raise Fenced(f"{self._group}: {refused}") from refused
        for place, offset in offsets.items():
            if self._in_hand.get(place, 0) <= offset:
                self._in_hand.pop(place, None)
        if not self._in_hand:
            self._idle.set()

    def handed(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note what the reader has in hand from now on."""
        self._in_hand.update(next_offsets)
        if self._in_hand:
            self._idle.clear()

    def rest(self) -> None:
        """Note that the reader has nothing in hand: it asks for more."""
        self._in_hand.clear()
        self._idle.set()

    # --- called by the library, in a task of its own ---

    async def on_partitions_revoked(self, revoked: Collection[KafkaPlace]) -> None:
        """Hold the group up while something is in hand, but not for ever."""
        self._unsettle()
        if revoked:
            await self._hold()
        if self._asleep is None:
            await self._see_name()

    async def _hold(self) -> None:
        if self._clock() - self._alive_at_s > self._settings.session_s:
            # The whole process was asleep for so long that others may have done its work.
            log.warning("member was asleep and leaves", extra={"group": self._group})
            self._lost |= self.owned
            self._share(frozenset(), frozenset())
            self._asleep = asyncio.create_task(self._client.drop_member(self.consumer))
            return
        coordinator = self.consumer._coordinator
        self._before = (coordinator.generation, coordinator.member_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.hold_s):
                await self._idle.wait()

    async def _see_name(self) -> None:
        """Look whose name it is before a member that has been forgotten joins under it again."""
        coordinator = self.consumer._coordinator
        forgotten = self._known_as and not coordinator.member_id
        if (
            forgotten
            and coordinator._group_instance_id is not None
            and not await self._client.keep_name(coordinator, self._known_as)
        ):
            log.warning("another process has this member's name", extra={"group": self._group})

    async def on_partitions_assigned(self, assigned: Collection[KafkaPlace]) -> None:
        """Take the new share."""
        if self._asleep is not None:
            return
        owned = frozenset(self._client.ours(place) for place in assigned)
        coordinator = self.consumer._coordinator
        generation, name = self._before
        self._known_as = coordinator.member_id
        # With a generation between, somebody else may have had them meanwhile.
        unbroken = (coordinator.generation, coordinator.member_id) == (generation + 1, name)
        kept = owned & self.owned if unbroken else frozenset()
        self._lost |= self.owned - kept
        self._share(owned, kept)
        self._settled.set()

    def _share(self, owned: frozenset[TopicPartition], kept: frozenset[TopicPartition]) -> None:
        self.owned = owned
        self.turn += 1
        self._moved.set()
        self._refused &= kept
        self._in_hand = {place: at for place, at in self._in_hand.items() if place in kept}
        self._adopt(owned, kept)

    def _unsettle(self) -> None:
        if self._settled.is_set():
            self._settled.clear()
            self._moved.set()
            self._unsettled_at_s = _now()
            self._join_until_s = _now() + self._settings.join_s


class _Refused(Exception):
    """The group does not take this member's commit."""


async def _fencing(call: Any) -> None:
    try:
        await call
    except (CommitFailedError, IllegalStateError) as error:
        raise _Refused(str(error)) from error


async def _within(timeout_s: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
