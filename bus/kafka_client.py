"""Makes aiokafka's parts and our topics; every call to a broker has its limit in time.

Law: a call that a dead broker would keep for ever ends with BusError instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPlace
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, ProducerClosed
from aiokafka.protocol.group import LeaveGroupRequest

from bus.errors import BusError
from bus.kafka_names import NAME_TAKEN, Names, farewell, heartbeat
from bus.kafka_settings import KafkaSettings
from bus.kafka_sockets import Connections
from bus.ports import TopicPartition
from bus.topics import DLQ_SUFFIX, TOPICS

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_BYTES = 128 * 1024
_MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""Above what the codec lets through, so that no event can ever be stuck for its size."""
_NOT_COORDINATOR = 16
_UNKNOWN_MEMBER = 25
_EXISTS = 36
_LOOK_AGAIN_S = 0.05


class KafkaClient:
    """Knows where the brokers are and what our topics are called there."""

    def __init__(self, settings: KafkaSettings, own_name: str = "") -> None:
        """Speak for one process; `own_name` is what no other living one is called."""
        self.settings = settings
        self._names = Names(own_name)
        self._ready: set[str] = set()
        self._left: set[tuple[str, str]] = set()

    def name(self, topic_or_group: str) -> str:
        """Return a topic's or a group's name at the brokers."""
        return self.settings.prefix + topic_or_group

    def at_broker(self, place: TopicPartition) -> KafkaPlace:
        """Return a partition as the brokers call it."""
        return KafkaPlace(self.name(place.topic), place.partition)

    def ours(self, place: KafkaPlace) -> TopicPartition:
        """Return a broker's partition as we call it."""
        return TopicPartition(place.topic.removeprefix(self.settings.prefix), place.partition)

    def producer(self) -> Any:
        """Return an idempotent producer, not started."""
        producer = AIOKafkaProducer(
            **self._connection(),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=_MESSAGE_BYTES_MAX,
        )
        producer.client._conns = Connections(self.settings.unacked_s, dropped_at_once=True)
        return producer

    def reader(self) -> Any:
        """Return a consumer that is in no group, not started."""
        return self._consumer(group_id=None, fetch_max_wait_ms=200)

    def member(self, group: str, topics: Sequence[str]) -> Any:
        """Return a consumer that will be a member of a group, not started; `drop_member` must
        follow, since its name is nobody else's until then.

        The range assignor gives partitions of equal number to the same member, whatever the topic.
        """
        settings = self.settings
        return self._consumer(
            group_id=self.name(group),
            # Partitions that have been read wait for this long when others have nothing to give.
            fetch_max_wait_ms=100,
            session_timeout_ms=round(settings.session_s * 1000),
            heartbeat_interval_ms=round(settings.heartbeat_s * 1000),
            rebalance_timeout_ms=round(settings.rebalance_s * 1000),
            max_poll_interval_ms=24 * 3600 * 1000,
            partition_assignment_strategy=(RangePartitionAssignor,),
            group_instance_id=self._names.give(self.name(group), topics),
        )

    def _consumer(self, **more: Any) -> Any:
        consumer = AIOKafkaConsumer(
            **self._connection(), enable_auto_commit=False, auto_offset_reset="earliest", **more
        )
        consumer._client._conns = Connections(self.settings.unacked_s)
        return consumer

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[Any]:
        """Connect for questions about topics and groups.

        Raises:
            BusError: no broker answers.
        """
        client = AIOKafkaAdminClient(**self._connection())
        client._client._conns = Connections(self.settings.unacked_s)
        try:
            await self.ask(client.start(), self.settings.connect_s)
            yield client
        finally:
            await self.let_go(client.close())

    async def ask(self, call: Awaitable[T], limit_s: float | None = None) -> T:
        """Wait for a broker's answer.

        Raises:
            BusError: it refuses, or does not answer in time.
        """
        try:
            async with asyncio.timeout(limit_s or self.settings.request_s):
                return await call
        except TimeoutError as error:
            raise BusError(f"Kafka at {self.settings.bootstrap} does not answer") from error
        except (KafkaError, OSError) as error:
            raise BusError(f"Kafka at {self.settings.bootstrap}: {error!r}") from error

    async def let_go(self, closing: Any) -> None:
        """Shut something down for as long as that may take, then leave it.

        A client whose broker is dead never ends its own shutdown, or raises what nobody asked for.
        """
        task = asyncio.ensure_future(closing)
        try:
            await asyncio.wait({task}, timeout=self.settings.leave_s)
        finally:
            if not task.done():
                task.cancel()
            task.add_done_callback(_look_away)

    async def drop_member(self, consumer: Any) -> None:
        """Leave a group, whatever its state; the others are told, unless no broker answers."""
        coordinator = consumer._coordinator
        name, unanswered = None, False
        try:
            if coordinator is not None:
                name, unanswered = coordinator._group_instance_id, not coordinator.member_id
                # The library takes no leave for a member with a name: it might be back soon.
                coordinator._group_instance_id = None
                if coordinator.member_id:
                    self._left.add((coordinator.group_id, coordinator.member_id))
            await self.let_go(consumer.stop())
            if coordinator is not None and (coordinator.member_id or (name and unanswered)):
                await self._leave_at_once(consumer, name)
        finally:
            self._names.take_back(consumer._group_id, consumer._group_instance_id)
            await self.let_go(consumer._client.close())

    async def _leave_at_once(self, consumer: Any, name: str | None) -> None:
        """Leave a group that keeps us waiting, since another member holds its rebalance up.

        Left as it is the member would go on telling that it is alive, and keep partitions for
        itself.
        """
        coordinator = consumer._coordinator
        for task in (
            coordinator._coordination_task,
            coordinator._heartbeat_task,
            coordinator._commit_refresh_task,
            consumer._fetcher.error_future,
        ):
            if task is not None:
                task.cancel()
                task.add_done_callback(_look_away)
        group, member = coordinator.group_id, coordinator.member_id
        if member:
            self._left.add((group, member))
        if coordinator.coordinator_id is not None:
            # Not over the coordinator's connection: that is kept for the answer to the join.
            told = LeaveGroupRequest(group, member) if member else farewell(group, name or "")
            await self.let_go(consumer._client.send(coordinator.coordinator_id, told))

    async def keep_name(self, coordinator: Any, member: str) -> bool:
        """Let a member that its group has forgotten join anew under its name, unless another
        process goes by that: taking it back would throw that one out, and so on for ever.

        Returns:
            Whether the name still is ours; if not, this process joins without names from now on.
        """
        name = coordinator._group_instance_id
        asked = heartbeat(coordinator.group_id, coordinator.generation, member, name)
        try:
            told = await self.ask(coordinator._send_req(asked))
        except BusError as error:
            log.info("not known whose name it is", extra={"error": str(error)})
            return True
        if told.error_code != NAME_TAKEN:
            return True
        coordinator._group_instance_id = None
        self._names.give_up()
        return False

    async def take_leave(self, consumer: Any) -> None:
        """Have a group forget our members that left while perhaps no broker heard of it.

        It would wait for each of them as long as a session lasts.

        Raises:
            BusError: no broker answers.
        """
        coordinator = consumer._coordinator
        for group, member in [each for each in self._left if each[0] == coordinator.group_id]:
            await self.ask(_until_forgotten(coordinator, LeaveGroupRequest(group, member)))
            self._left.discard((group, member))

    async def drop_producer(self, producer: Any, *, clean: bool) -> None:
        """Shut a producer down, after it has sent what it holds, or (not clean) before."""
        if not clean:
            await self.let_go(producer.client.close())
            _give_up(producer._message_accumulator)
            sender = producer._sender
            if sender is not None and sender.sender_task is not None:
                sender.sender_task.cancel()
        await self.let_go(producer.stop())

    async def ensure(self, topics: Iterable[str]) -> None:
        """Make the topics that are not there.

        Raises:
            BusError: no broker answers, or a topic has another number of partitions than ours.
        """
        missing = [topic for topic in topics if topic not in self._ready]
        if not missing:
            return
        config = {
            "retention.ms": str(round(self.settings.retention_s * 1000)),
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(_MESSAGE_BYTES_MAX),
        }
        async with self.admin() as admin:
            wanted = [
                NewTopic(
                    self.name(topic),
                    _partitions(topic),
                    self.settings.replication,
                    replica_assignments={} if self.settings.replication == -1 else None,
                    topic_configs=config,
                )
                for topic in missing
            ]
            try:
                made = await self.ask(_supported(admin.create_topics(wanted)))
            except _Unsupported:
                # A broker that makes topics when they are first named.
                made = None
            for name, code, *told in made.topic_errors if made is not None else ():
                if code not in (0, _EXISTS):
                    raise BusError(f"Kafka does not make the topic {name}: error {code} {told}")
            await self.ask(self._until_led(admin, missing))
        self._ready.update(missing)

    async def _until_led(self, admin: Any, topics: Sequence[str]) -> None:
        """Wait until every partition has a leader: a group that forms before shares out less."""
        while True:
            led: set[str] = set()
            for told in await admin.describe_topics([self.name(topic) for topic in topics]):
                topic = str(told["topic"]).removeprefix(self.settings.prefix)
                count = len(told["partitions"])
                if count and count != _partitions(topic):
                    raise BusError(
                        f"the topic {told['topic']} has {count} partitions, and we need"
                        f" {_partitions(topic)}: use another kafka.prefix, or remove the topic"
                    )
                if count and all(each["leader"] >= 0 for each in told["partitions"]):
                    led.add(topic)
            if led >= set(topics):
                return
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _connection(self) -> dict[str, Any]:
        settings = self.settings
        told: dict[str, Any] = {
            "bootstrap_servers": settings.bootstrap,
            "request_timeout_ms": round(settings.request_s * 1000),
            "security_protocol": settings.security,
            "metadata_max_age_ms": 10_000,
        }
        if settings.security in ("SSL", "SASL_SSL"):
            told["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.security.startswith("SASL"):
            told["sasl_mechanism"] = settings.sasl_mechanism
            told["sasl_plain_username"] = settings.sasl_username
            told["sasl_plain_password"] = settings.sasl_password
        return told


async def _until_forgotten(coordinator: Any, farewell: Any) -> None:
    """A broker that has just started does not know its groups yet."""
    while True:
        await coordinator.ensure_coordinator_known()
        told = await coordinator._send_req(farewell)
        if told.error_code in (0, _UNKNOWN_MEMBER):
            return
        if told.error_code == _NOT_COORDINATOR:
            coordinator.coordinator_dead()
        await asyncio.sleep(_LOOK_AGAIN_S)


def _give_up(accumulator: Any) -> None:
    """Fail whatever a producer still holds.

    The library looks for a batch that waits for another try among those under way, and trips over
    it; and nobody asks for what its waiter has been told.
    """
    for batches in accumulator._batches.values():
        for batch in batches:
            batch._drain_waiter.add_done_callback(_look_away)
            if batch.retry_count:
                accumulator._pending_batches.add(batch)
    accumulator.fail_all(ProducerClosed())


class _Unsupported(Exception):
    """The broker does not know this request."""


async def _supported(call: Awaitable[T]) -> T:
    try:
        return await call
    except (IncompatibleBrokerVersion, AttributeError) as error:
        # The library trips over a cluster that names no controller.
        raise _Unsupported from error


def _partitions(topic: str) -> int:
    return TOPICS[topic.removesuffix(DLQ_SUFFIX)].partitions


def _look_away(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("a Kafka client did not close cleanly", extra={"error": repr(error)})
