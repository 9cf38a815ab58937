"""The bus over Kafka: the same promises as the local log, for many machines.

Law: whatever a broker does, `publish` returns once the event is durable, at the brokers or in this
process's outbox, and every call ends within its limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path

from bus.events import Event
from bus.kafka_client import KafkaClient
from bus.kafka_ledger import Ledger
from bus.kafka_message import Arrived, Stamps, letter_of, message_of
from bus.kafka_publisher import Publisher
from bus.kafka_replay import replay
from bus.kafka_settings import KafkaSettings
from bus.kafka_subscription import KafkaSubscription
from bus.outbox import Outbox
from bus.ports import DeadLetter, Lag, Meter, Record, SilentMeter, TopicPartition
from bus.topics import known

log = logging.getLogger(__name__)


class KafkaBus:
    """Implements bus.ports.Bus."""

    def __init__(
        self,
        client: KafkaClient,
        publisher: Publisher,
        clock: Callable[[], float],
        meter: Meter,
    ) -> None:
        self._client = client
        self._publisher = publisher
        self._clock = clock
        self._meter = meter
        self._stamps = Stamps()
        self._ledger = Ledger(client, clock)
        self._subscriptions: set[KafkaSubscription] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        folder: Path,
        settings: KafkaSettings,
        *,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> AsyncIterator[KafkaBus]:
        """Speak to the brokers for as long as the context is open; they need not be there yet.

        Args:
            folder: where the outbox lies.
            settings: where the brokers are.
            clock: Unix time.
            meter: who counts.

        Raises:
            BusError: the outbox cannot be opened.
        """
        told = meter or SilentMeter()
        async with contextlib.AsyncExitStack() as stack:
            outbox = await stack.enter_async_context(Outbox.open(folder, settings.outbox_max_bytes))
            client = KafkaClient(settings, outbox.name)
            publisher = Publisher(client, outbox, told)
            await stack.enter_async_context(publisher.running())
            bus = cls(client, publisher, clock, told)
            stack.push_async_callback(bus._ledger.close)
            beating = asyncio.create_task(bus._beat(), name="kafka-alive")
            stack.callback(beating.cancel)
            yield bus

    async def publish(self, events: Sequence[Event]) -> None:
        """Append the events; durable on return. An id that this process published is left out.

        Raises:
            MalformedEvent: an event holds what JSON cannot carry; none is published.
            BusFull: the brokers do not answer, and the outbox has no space left.
        """
        await self._publish(events, None)

    async def publish_while(self, events: Sequence[Event], good: Callable[[], bool]) -> None:
        """As `publish`; see bus.ports.HoldingBus.

        Raises:
            BusError: it was no longer good before the events could be sent.
        """
        await self._publish(events, good)

    async def _publish(self, events: Sequence[Event], good: Callable[[], bool] | None) -> None:
        now_s = self._clock()
        # Whatever `clock` is, stamps put what different processes have written into order.
        stamp_s = time.time()
        messages = [
            message_of(event, now_s, self._stamps.next(stamp_s), is_fenced=good is not None)
            for event in events
        ]
        if messages:
            await self._publisher.publish(messages, good)

    @contextlib.asynccontextmanager
    async def subscribe(
        self, group: str, topics: Sequence[str]
    ) -> AsyncIterator[KafkaSubscription]:
        """Join a consumer group for as long as the context is open.

        Raises:
            BusError: a topic is unknown, or no broker answers.
        """
        known(topics)

        async def bury(place: TopicPartition, found: Arrived, error: str, attempts: int) -> None:
            letter = letter_of(group, place, found, error, attempts, self._clock())
            await self._publisher.publish([letter])
            self._meter.count("clipthat_bus_dead_letters_total", group=group, topic=place.topic)

        subscription = KafkaSubscription(
            self._client, group, topics, self._stamps, self._clock, bury, self._meter
        )
        self._ledger.joined(group, topics)
        self._subscriptions.add(subscription)
        try:
            await subscription.join()
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            await subscription.leave()

    def replay(
        self, key: str, topics: Sequence[str], *, since_s: float = 0.0
    ) -> AsyncGenerator[Record]:
        """Yield what the log holds of a key now; see bus.ports.Bus.

        Raises:
            BusError: a topic is unknown, or no broker answers.
        """
        return replay(self._client, key, topics, since_s)

    async def lag(self, group: str) -> list[Lag]:
        """Return how far the group is behind: a row for each partition of the topics that it has
        joined from here, or committed.

        Raises:
            BusError: no broker answers.
        """
        return await self._ledger.lag(group)

    async def dead_letters(self, topic: str, limit: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters of a topic, oldest first.

        Raises:
            BusError: no broker answers.
        """
        return await self._ledger.dead_letters(topic, limit)

    async def heartbeat(self) -> None:
        """Note that this process is alive; called on its own every now and then."""
        for subscription in self._subscriptions:
            subscription.alive()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._client.settings.session_s / 3)
            await self.heartbeat()
