"""The durable log in one SQLite file: the whole bus of a single machine.

Law: what `publish` has returned for is on the disk. Several processes may open the same file; each
has one connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from bus import local_groups, local_tables
from bus.codec import encode
from bus.errors import BusError
from bus.events import Event
from bus.local_groups import Member
from bus.local_subscription import LocalSubscription
from bus.local_tables import Row
from bus.ports import DeadLetter, Lag, Meter, Record, SilentMeter, TopicPartition
from bus.presence import Presence
from bus.readable import readable
from bus.settings import LocalBusSettings
from bus.sqlite_thread import SqliteThread
from bus.topics import TOPICS, known, places_of

log = logging.getLogger(__name__)

_TRIM_STEP = 1000
"""Records looked at in one transaction, so that trimming never holds up a publish for long."""
_REPLAY_STEP = 5_000
"""Offsets that are looked at in one read, for the same reason."""


class LocalBus:
    """Implements bus.ports.Bus."""

    def __init__(
        self,
        file: SqliteThread,
        presence: Presence,
        settings: LocalBusSettings,
        clock: Callable[[], float],
        meter: Meter,
    ) -> None:
        self.file = file
        self._presence = presence
        self.settings = settings
        self.clock = clock
        self.meter = meter
        self.ends: dict[TopicPartition, int] = {}
        self.epochs: dict[str, int] = {}
        self.news = asyncio.Event()
        self._members: set[str] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        path: Path,
        settings: LocalBusSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> AsyncIterator[LocalBus]:
        """Open the log at `path` (made when it is not there) for as long as the context is open.

        Raises:
            BusError: the file cannot be opened, is damaged or written by a newer version.
        """
        settings = settings or LocalBusSettings()
        path.parent.mkdir(parents=True, exist_ok=True)
        file = SqliteThread(path, settings)
        await file.start(local_tables.prepare)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(file.close)
            presence = Presence(path)
            stack.callback(presence.leave)
            bus = cls(file, presence, settings, clock, meter or SilentMeter())
            await bus.forget_lost()
            await stack.enter_async_context(bus._upkeep())
            yield bus

    @contextlib.asynccontextmanager
    async def _upkeep(self) -> AsyncIterator[None]:
        settings = self.settings
        upkeep = [
            asyncio.create_task(self._every(settings.poll_s, self.refresh), name="bus-poll"),
            asyncio.create_task(self._every(settings.heartbeat_s, self.heartbeat), name="bus-beat"),
            asyncio.create_task(self._every(settings.trim_every_s, self.trim), name="bus-trim"),
        ]
        try:
            yield
        finally:
            for task in upkeep:
                task.cancel()
            await asyncio.gather(*upkeep, return_exceptions=True)

    async def publish(self, events: Sequence[Event]) -> None:
        """Append the events; durable on return. An id that is already there is left out.

        Raises:
            MalformedEvent: an event holds what JSON cannot carry; none is published.
            BusFull: there is no space left; none is published.
        """
        rows = [_row(event) for event in events]
        if not rows:
            return
        now_s = self.clock()
        grown = await self.file.write(lambda db: local_tables.append(db, rows, now_s))
        for topic, count in Counter(row.topic for row in rows).items():
            self.meter.count("clipthat_bus_published_total", count, topic=topic)
        for place, end in grown.items():
            self.ends[place] = max(end, self.ends.get(place, 0))
        if grown:
            self.tell()

    @contextlib.asynccontextmanager
    async def subscribe(
        self, group: str, topics: Sequence[str]
    ) -> AsyncIterator[LocalSubscription]:
        """Join a consumer group for as long as the context is open.

        A group without a commit begins at the earliest record. Members of one group that read
        the same topics share the partitions.
        """
        known(topics)
        member = Member(group, uuid.uuid4().hex, self._presence.name, tuple(topics))
        subscription = LocalSubscription(self, member)
        self._members.add(member.name)
        try:
            await subscription.claim()
            yield subscription
        finally:
            self._members.discard(member.name)
            await self._leave(member)

    async def replay(
        self, key: str, topics: Sequence[str], *, since_s: float = 0.0
    ) -> AsyncGenerator[Record]:
        """Yield what the log holds of a key now; see bus.ports.Bus.

        Raises:
            BusError: a topic is unknown.
        """
        places = places_of(key, topics)
        ends = await self.file.read(local_tables.ends)
        for place in places:
            at = await self.file.read(partial(local_tables.first_at, place=place, at_s=since_s))
            while at < ends.get(place, 0):
                upto = min(at + _REPLAY_STEP, ends[place])
                step = partial(local_tables.of_key, place=place, key=key, begin=at, end=upto)
                for row in await self.file.read(step):
                    record = readable(place, row.offset, row.at_s, row.value)
                    if record is not None and row.at_s >= since_s:
                        yield record
                at = upto

    async def lag(self, group: str) -> list[Lag]:
        """Return how far the group is behind, a row for each partition it has joined."""
        now_s = self.clock()
        return await self.file.read(lambda db: local_groups.lag(db, group, now_s))

    async def dead_letters(self, topic: str, limit: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters of a topic, oldest first."""
        return await self.file.read(lambda db: local_tables.dead_letters(db, topic, limit))

    # --- upkeep; called on its own every now and then ---

    async def refresh(self) -> None:
        """Look what other processes have written, and wake the readers when there is something."""

        ends, epochs = await self.file.read(
            lambda db: (local_tables.ends(db), local_groups.epochs(db))
        )
        ends = {place: max(end, self.ends.get(place, 0)) for place, end in ends.items()}
        if ends != self.ends or epochs != self.epochs:
            self.ends, self.epochs = ends, epochs
            self.tell()

    async def forget_lost(self) -> None:
        """Free what members of dead processes, or silent ones, still hold."""
        names = await self.file.read(local_groups.processes)
        gone, now_s = self._presence.gone(names), self.clock()
        await self.file.write(lambda db: local_groups.forget_lost(db, gone, now_s))

    async def heartbeat(self) -> None:
        """Extend the lease of every member in this process, and look who else is gone."""
        names = list(self._members)
        if names:
            now_s, lease_s = self.clock(), self.settings.lease_s
            await self.file.write(lambda db: local_groups.keep(db, names, now_s, lease_s))
            await self.forget_lost()

    async def trim(self) -> None:
        """Remove what is old enough, and members of processes that are gone."""
        now_s = self.clock()
        old_s = now_s - self.settings.retention_s
        oldest_s = now_s - self.settings.retention_max_s
        await self.forget_lost()
        for place in await self.file.read(local_tables.ends):
            removed = _TRIM_STEP
            while removed == _TRIM_STEP:
                removed = await self.file.write(
                    partial(
                        local_tables.trim,
                        place=place,
                        old_s=old_s,
                        oldest_s=oldest_s,
                        limit=_TRIM_STEP,
                    )
                )
                self.meter.count("clipthat_bus_trimmed_total", removed, topic=place.topic)

    async def _leave(self, member: Member) -> None:
        try:
            await self.file.write(lambda db: local_groups.leave(db, member))
            await self.refresh()
        except BusError as error:
            # Its lease runs out by itself; what the reader met before is the news.
            log.warning("member could not leave", extra={"error": str(error)})

    def tell(self) -> None:
        """Wake everybody who waits for news."""
        news, self.news = self.news, asyncio.Event()
        news.set()

    async def _every(self, pause_s: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(pause_s)
            try:
                await step()
            except BusError as error:
                # The next turn may succeed, and whoever publishes meets the same error itself.
                self.meter.count("clipthat_bus_upkeep_failures_total")
                log.warning("bus upkeep failed", extra={"error": str(error)})


def _row(event: Event) -> Row:
    topic = TOPICS.get(event.TOPIC)
    if topic is None:
        raise BusError(f"{type(event).__name__} names no topic of ours: {event.TOPIC!r}")
    key = event.key
    return Row(topic.name, topic.partition_of(key), event.event_id, key, encode(event))
