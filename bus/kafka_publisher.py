"""Sends events to Kafka in waves: one batch to a partition, all acknowledged before the next wave.

Law: an event is durable when `publish` returns, at the brokers or in the outbox. While the outbox
holds something, everything goes through it, so that nothing overtakes; a message may be sent
twice, and the readers leave out the second. What is fenced leaves this process while its fence
is good, and never after.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from bus.errors import BusClosed, BusError
from bus.kafka_client import KafkaClient
from bus.kafka_message import Message
from bus.outbox import Outbox
from bus.ports import Meter, TopicPartition
from bus.recent_ids import RecentIds

log = logging.getLogger(__name__)

_WAVE_MAX = 5_000
_DRAIN_MAX = 1_000


Good = Callable[[], bool]
"""Says whether whoever has published may still write."""


@dataclass(slots=True, eq=False)
class _Call:
    """A publish that waits: its messages, how many of them are acknowledged, and who is told."""

    messages: Sequence[Message]
    answer: asyncio.Future[None]
    sent: int = 0
    good: Good | None = None


class _Unsent(Exception):
    """A wave was not acknowledged, or only in these partitions."""

    def __init__(self, reason: str, acked: Sequence[Message] = ()) -> None:
        super().__init__(reason)
        self.acked = frozenset(map(id, acked))


class Publisher:
    """The one sender of a process."""

    def __init__(self, client: KafkaClient, outbox: Outbox, meter: Meter) -> None:
        self._client = client
        self._outbox = outbox
        self._meter = meter
        self._settings = client.settings
        self._calls: deque[_Call] = deque()
        self._parked = 0
        self._recent: RecentIds[str] = RecentIds(client.settings.remember_ids)
        self._fences: dict[str, Good] = {}
        """Of the fenced messages that this process has put into the outbox, by event id."""
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._producer: Any = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send for as long as the context is open; what is left then stays in the outbox."""
        self._parked = await self._outbox.count()
        sender = asyncio.create_task(self._work(), name="kafka-sender")
        sender.add_done_callback(self._ended)
        try:
            yield
        finally:
            self._closing.set()
            self._wake.set()
            await asyncio.wait({sender}, timeout=self._settings.leave_s)
            sender.cancel()
            await asyncio.wait({sender})
            if self._calls:
                await self._park(self._calls_waiting())
            await self._drop_producer(clean=not self._parked)

    async def publish(self, messages: Sequence[Message], good: Good | None = None) -> None:
        """Send; durable on return.

        Args:
            messages: what to send.
            good: asked before fenced messages are sent.

        Raises:
            BusFull: the outbox has no space left.
            BusClosed: the bus is closed.
            BusError: they were not good any more before they could be sent.
        """
        if self._closing.is_set():
            raise BusClosed("the bus is closed")
        if good is not None:
            # Whoever publishes again what is still held does so under a fence of its own.
            self._fences.update({m.event_id: good for m in messages if m.event_id in self._fences})
        fresh = self._remember(messages)
        if self._parked:
            self._parked += len(fresh)
            self._fence(fresh, good)
            try:
                await self._outbox.add(fresh)
            except BusError:
                self._parked -= len(fresh)
                self._forget(fresh)
                raise
        elif fresh or self._calls:
            # Without a message of its own it still waits for whoever sends the same ids now.
            call = _Call(fresh, asyncio.get_running_loop().create_future(), good=good)
            self._calls.append(call)
            self._wake.set()
            await call.answer
        for topic, count in Counter(message.topic for message in fresh).items():
            self._meter.count("clipthat_bus_published_total", count, topic=topic)

    def _remember(self, messages: Sequence[Message]) -> list[Message]:
        return [message for message in messages if self._recent.add(message.event_id)]

    def _forget(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._recent.discard(message.event_id)
            self._fences.pop(message.event_id, None)

    def _fence(self, messages: Iterable[Message], good: Good | None) -> None:
        if good is not None:
            self._fences.update({message.event_id: good for message in messages})

    # --- the sender ---

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            if self._parked:
                if not await self._from_outbox() and self._closing.is_set():
                    # It stays where it is for whoever opens this folder next.
                    return
            elif self._calls:
                await self._send_calls()
            elif self._closing.is_set():
                return
            else:
                await self._wake.wait()

    def _ended(self, sender: asyncio.Task[None]) -> None:
        """Leave nobody waiting when the sender breaks: the outbox's disk, or an error of ours."""
        self._closing.set()
        if not sender.cancelled() and (error := sender.exception()) is not None:
            log.error("the sender to Kafka has died", exc_info=error)
            for call in self._calls_waiting():
                _tell(call, BusError(f"the bus cannot send: {error!r}"))

    async def _send_calls(self) -> None:
        self._refuse_late_calls()
        if not self._calls:
            return
        pending = [message for call in self._calls for message in call.messages[call.sent :]]
        wave = pending[: _wave_length(pending)]
        try:
            sent = await self._send(wave)
        except _Unsent as unsent:
            log.warning("events go to the outbox", extra={"error": str(unsent)})
            waiting = self._calls_waiting()
            await self._park(waiting, unsent.acked)
            await self._drop_producer(clean=False)
            return
        while self._calls:
            call = self._calls[0]
            taken = min(sent, len(call.messages) - call.sent)
            call.sent += taken
            sent -= taken
            if call.sent < len(call.messages):
                return
            self._calls.popleft()
            _tell(call)

    def _refuse_late_calls(self) -> None:
        for call in [call for call in self._calls if call.good is not None and not call.good()]:
            self._calls.remove(call)
            self._drop(call.messages[call.sent :])
            _tell(call, BusError("whoever has published this may not write any more"))

    def _drop(self, messages: Sequence[Message]) -> None:
        self._forget(messages)
        self._meter.count("clipthat_bus_fenced_total", len(messages))

    def _calls_waiting(self) -> list[_Call]:
        waiting = list(self._calls)
        self._calls.clear()
        return waiting

    async def _park(self, calls: Sequence[_Call], acked: frozenset[int] = frozenset()) -> None:
        messages = [
            message
            for call in calls
            for message in call.messages[call.sent :]
            if id(message) not in acked
        ]
        # Counted before the first pause, so that whoever publishes now goes to the outbox too.
        self._parked += len(messages)
        for call in calls:
            self._fence(call.messages[call.sent :], call.good)
        error: BusError | None = None
        try:
            await self._outbox.add(messages)
            self._meter.count("clipthat_bus_outbox_parked_total", len(messages))
        except BusError as refused:
            self._parked -= len(messages)
            self._forget(messages)
            error = refused
        self._tell_outbox()
        for call in calls:
            _tell(call, error)

    async def _from_outbox(self) -> bool:
        try:
            return await self._empty_outbox()
        except BusError as error:
            log.warning("the outbox cannot be used", extra={"error": str(error)})
            await self._pause()
            return False

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.retry_s):
                await self._closing.wait()

    async def _empty_outbox(self) -> bool:
        """Send the oldest; False when none of them was taken."""
        rows = await self._outbox.first(_DRAIN_MAX)
        late = {n: message for n, message in rows if self._is_late(message)}
        if late:
            await self._outbox.remove(list(late))
            self._parked -= len(late)
            self._drop(list(late.values()))
            rows = [(n, message) for n, message in rows if n not in late]
        messages = [message for _, message in rows]
        wave = messages[: _wave_length(messages)]
        try:
            sent = await self._send(wave)
            done = [n for n, _ in rows[:sent]]
        except _Unsent as unsent:
            log.info("the outbox has to wait", extra={"error": str(unsent)})
            done = [n for n, message in rows if id(message) in unsent.acked]
            await self._drop_producer(clean=False)
            await self._pause()
        if done:
            await self._outbox.remove(done)
            self._parked -= len(done)
            for n, message in rows:
                if n in done:
                    self._fences.pop(message.event_id, None)
        self._tell_outbox()
        return bool(done or late)

    def _is_late(self, message: Message) -> bool:
        """Whether a message is fenced and its fence is over; a dead process's always is."""
        if not message.is_fenced:
            return False
        good = self._fences.get(message.event_id)
        return good is None or not good()

    def _tell_outbox(self) -> None:
        self._meter.gauge("clipthat_bus_outbox_events", float(self._parked))

    async def _send(self, wave: Sequence[Message]) -> int:
        """Send the beginning of a wave, as much as fits; return how many were acknowledged."""
        futures: dict[TopicPartition, asyncio.Future[Any]] = {}
        sent = 0
        reason = "not acknowledged in time"
        try:
            async with asyncio.timeout(self._settings.ack_s):
                await self._client.ensure(dict.fromkeys(message.topic for message in wave))
                producer = await self._ready_producer()
                batches, sent = _packed(producer, wave)
                for place, batch in batches.items():
                    futures[place] = await producer.send_batch(
                        batch, self._client.name(place.topic), partition=place.partition
                    )
                if futures:
                    await asyncio.wait(futures.values())
        except (KafkaError, BusError, OSError, TimeoutError) as error:
            reason = repr(error)
        acked = _settled(futures)
        taken = [message for message in wave[:sent] if message.place in acked]
        if len(taken) < sent or not (sent or not wave):
            raise _Unsent(reason, taken)
        return sent

    async def _ready_producer(self) -> Any:
        if self._producer is None:
            self._producer = self._client.producer()
            await self._client.ask(self._producer.start(), self._settings.connect_s)
        return self._producer

    async def _drop_producer(self, *, clean: bool) -> None:
        """Let go of the producer; the next send makes a new one.

        Unless it is clean, its connections are closed first, so that nothing that it still holds
        can reach the brokers later.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._client.drop_producer(producer, clean=clean)


def _wave_length(messages: Sequence[Message]) -> int:
    """Return how many of the messages may be under way at once."""
    first: TopicPartition | None = None
    for n, message in enumerate(messages[:_WAVE_MAX]):
        if first is not None and message.place != first:
            return n
        if message.first:
            first = message.place
    return min(len(messages), _WAVE_MAX)


def _packed(producer: Any, wave: Sequence[Message]) -> tuple[dict[TopicPartition, Any], int]:
    """Return a batch for each partition, and how many of the messages they hold."""
    batches: dict[TopicPartition, Any] = {}
    for n, message in enumerate(wave):
        place = message.place
        batch = batches.get(place)
        if batch is None:
            batch = batches[place] = producer.create_batch()
        added = batch.append(
            timestamp=None, key=message.key, value=message.value, headers=message.headers
        )
        if added is None:
            return batches, n
    return batches, len(wave)


def _settled(futures: dict[TopicPartition, asyncio.Future[Any]]) -> frozenset[TopicPartition]:
    """Return the partitions that have acknowledged; the other answers no longer matter."""
    acked = set()
    for place, future in futures.items():
        if future.done() and not future.cancelled() and future.exception() is None:
            acked.add(place)
        else:
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return frozenset(acked)


def _tell(call: _Call, error: BusError | None = None) -> None:
    if call.answer.done():
        return
    if error is None:
        call.answer.set_result(None)
    else:
        call.answer.set_exception(error)
