"""Bad days on Kafka: brokers that freeze or die, readers that die, a shutdown in the midst."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.errors import CommitFailedError

from bus.consume import consume
from bus.errors import BusError, Fenced
from bus.events import ChatWindow
from bus.kafka import KafkaBus
from bus.kafka_settings import KafkaSettings
from bus.ports import Record, Subscription
from bus.stage import Ctx
from tests.bus.conftest import kafka_settings, skip_beyond
from tests.bus.test_contract import behind, channel_of_each_partition, read, seconds
from tests.bus.world import started, window, windows
from tests.paths import REPOSITORY
from tests.services.fixtures import Broker, broker_of_its_own

LIMIT_S = 300.0

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def our_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module's own."""
    yield from broker_of_its_own(tmp_path_factory.mktemp("broker"))


@pytest.fixture
def broker(our_broker: Broker, request: pytest.FixtureRequest) -> Broker:
    """A broker that a test may freeze and kill; it is well again between two tests."""
    skip_beyond(our_broker, request)
    return our_broker


def impatient(broker: Broker) -> KafkaSettings:
    """Return settings that turn to the outbox soon, and give a slow machine all the time."""
    return kafka_settings(
        broker, ack_s=2.0, request_s=60.0, connect_s=60.0, retry_s=0.2, leave_s=1.0
    )


async def publish_some(bus: KafkaBus, channels: list[str], first: int, count: int) -> None:
    for second in range(first, first + count):
        await bus.publish([window(second, channel, channel) for channel in channels])


@pytest.mark.parametrize("harm", ["frozen", "killed"])
async def test_a_broker_that_goes_away_loses_nothing_and_changes_no_order(
    broker: Broker, tmp_path: Path, harm: str
) -> None:
    settings, channels = impatient(broker), channel_of_each_partition()
    seen: set[tuple[str, int]] = set()
    begun = asyncio.Event()

    async def handle(records: Sequence[Record]) -> None:
        seen.update((each.event.channel_id, second_of(each)) for each in records)
        begun.set()

    async with KafkaBus.open(tmp_path, settings) as bus, asyncio.timeout(LIMIT_S):
        ctx = Ctx(bus=bus)
        # One reader is there all along, another comes when all is well again.
        reading = asyncio.create_task(kept(lambda: consume(ctx, "early", ["chat"], handle)))
        await publish_some(bus, channels, 0, 20)
        await begun.wait()
        publishing = asyncio.create_task(publish_some(bus, channels, 20, 20))
        await asyncio.sleep(0)
        broker.freeze() if harm == "frozen" else broker.kill()
        await publishing
        await publish_some(bus, channels, 40, 20)
        broker.thaw() if harm == "frozen" else await asyncio.to_thread(broker.start)
        await publish_some(bus, channels, 60, 20)
        async with bus.subscribe("late", ["chat"]) as subscription:
            records = await read(subscription, 80 * len(channels))
        await kept(lambda: caught_up(bus))
        ctx.draining.set()
        await reading
    for channel in channels:
        mine = [record for record in records if record.event.channel_id == channel]
        assert seconds(mine) == list(range(80))
    assert seen == {(channel, second) for channel in channels for second in range(80)}


def second_of(record: Record) -> int:
    assert isinstance(record.event, ChatWindow)
    return int(record.event.media_s)


async def caught_up(bus: KafkaBus) -> None:
    """Ask until the group has committed everything."""
    while sum(lag.messages for lag in await bus.lag("early")):
        continue


async def kept(work: Callable[[], Awaitable[None]]) -> None:
    """Begin again after each failure of the bus, as the supervisor does."""
    while True:
        try:
            return await work()
        except BusError:
            continue


async def test_what_a_killed_publisher_had_in_its_outbox_is_sent_by_the_next(
    broker: Broker, tmp_path: Path
) -> None:
    settings = impatient(broker)
    async with asyncio.timeout(LIMIT_S):
        async with KafkaBus.open(tmp_path, settings) as bus:
            await bus.publish(windows(3))
            broker.freeze()
            await bus.publish([window(3), window(4)])
        broker.thaw()
        async with (
            KafkaBus.open(tmp_path, settings) as bus,
            bus.subscribe("g", ["chat"]) as subscription,
        ):
            assert seconds(await read(subscription, 5)) == [0, 1, 2, 3, 4]


_STUCK = """
import asyncio, sys
from pathlib import Path
from bus.kafka import KafkaBus
from bus.kafka_settings import KafkaSettings
from tests.bus.world import windows

async def main(bootstrap, prefix, folder, mode):
    settings = KafkaSettings(
        bootstrap=bootstrap, prefix=prefix, session_s=6.0, heartbeat_s=0.5
    )
    async with KafkaBus.open(Path(folder), settings) as bus:
        if mode == "publish":
            await bus.publish(windows(1))
            stop = asyncio.Event()
            import signal
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            async with bus.subscribe("stopping", ["chat", "sessions"]) as subscription:
                print("ready", flush=True)
                while not stop.is_set():
                    await subscription.fetch(10, 0.2)
            return
        async with bus.subscribe("g", ["chat"]) as subscription:
            print(len(await subscription.fetch(3, 30.0)), flush=True)
            await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


async def child(
    settings: KafkaSettings, folder: Path, mode: str
) -> tuple[asyncio.subprocess.Process, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _STUCK, settings.bootstrap, settings.prefix, str(folder), mode),
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    return process, await process.stdout.readline()


async def test_what_a_killed_reader_had_in_hand_comes_to_the_next(
    broker: Broker, tmp_path: Path
) -> None:
    settings = impatient(broker)
    async with KafkaBus.open(tmp_path / "here", settings) as bus, asyncio.timeout(LIMIT_S):
        await bus.publish(windows(3))
        reader, told = await child(settings, tmp_path / "there", "read")
        assert told == b"3\n"
        reader.send_signal(signal.SIGKILL)
        await reader.wait()
        async with bus.subscribe("g", ["chat"]) as heir:
            assert seconds(await read(heir, 3)) == [0, 1, 2]


async def test_shutting_down_with_a_dead_broker_ends(broker: Broker, tmp_path: Path) -> None:
    process, told = await child(impatient(broker), tmp_path, "publish")
    assert told == b"ready\n"
    broker.freeze()
    try:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT_S):
            assert await process.wait() == 0
    finally:
        broker.thaw()


@pytest.mark.shared_group
async def test_two_readers_of_two_topics_own_the_same_partitions_of_each(
    broker: Broker, tmp_path: Path
) -> None:
    settings, topics = impatient(broker), ["chat", "sessions", "segments"]
    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path / "a", settings) as here,
        KafkaBus.open(tmp_path / "b", settings) as there,
        here.subscribe("g", topics) as first,
        there.subscribe("g", topics) as second,
    ):
        for each in (first, second):
            while len(each.owned) != 6:
                try:
                    await each.fetch(1, 0.2)
                except Fenced:
                    continue
            numbers = {place.partition for place in each.owned}
            assert {(p.topic, p.partition) for p in each.owned} == {
                (topic, number) for topic in topics for number in numbers
            }
        assert not first.owned & second.owned


async def fetch_for_ever(subscription: Subscription) -> None:
    while True:
        await subscription.fetch(1, 0.1)


async def test_a_reader_whose_client_has_died_says_so(broker: Broker, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path, impatient(broker)) as bus,
        bus.subscribe("g", ["chat"]) as subscription,
    ):
        subscription._member.consumer._fetcher.error_future.cancel()
        with pytest.raises(BusError, match="has died"):
            await fetch_for_ever(subscription)


@pytest.mark.parametrize("topics", [["chat"], ["chat", "sessions"]])
async def test_a_reader_that_gets_nothing_of_what_is_there_says_so(
    broker: Broker, tmp_path: Path, topics: list[str]
) -> None:
    settings = replace(impatient(broker), stall_s=0.5)
    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path, settings) as bus,
        bus.subscribe("g", topics) as subscription,
    ):
        member = subscription._member
        member.consumer.pause(*[p for p in member.consumer.assignment() if "chat" in p.topic])
        await bus.publish([started("s"), *windows(1)])
        with pytest.raises(BusError, match="nothing from"):
            await fetch_for_ever(subscription)


async def test_what_a_refused_commit_told_of_comes_again(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object) -> None:
        raise CommitFailedError

    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path, impatient(broker)) as bus,
        bus.subscribe("g", ["chat"]) as subscription,
    ):
        await bus.publish(windows(4))
        first = await read(subscription, 1)
        await subscription.commit(behind(first))
        held = await read(subscription, 2)
        with monkeypatch.context() as patch:
            patch.setattr(subscription._member.consumer, "commit", refuse)
            with pytest.raises(Fenced):
                await subscription.commit(behind(held))
        with pytest.raises(Fenced) as fenced:
            await subscription.fetch(10, 0.1)
        assert fenced.value.places == {record.place for record in held}
        assert seconds(await read(subscription, 3)) == [1, 2, 3]


@pytest.mark.shared_group
async def test_a_member_that_leaves_while_others_hold_the_group_up_keeps_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    settings = replace(
        impatient(broker),
        join_s=0.5,
        session_s=2 * LIMIT_S,
        hold_s=LIMIT_S,
        rebalance_s=LIMIT_S,
    )
    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path, settings) as bus,
        bus.subscribe("g", ["chat"]) as holder,
    ):
        await publish_some(bus, channel_of_each_partition(), 0, 1)
        held = await read(holder, 4)
        async with bus.subscribe("g", ["chat"]) as guest:
            assert not guest.owned
        await publish_some(bus, channel_of_each_partition(), 1, 1)
        await holder.commit(behind(held))
        assert seconds(await read(holder, 4)) == [1] * 4


async def test_headers_say_what_cloud_events_ask_for(broker: Broker, tmp_path: Path) -> None:
    from aiokafka import AIOKafkaConsumer

    settings = impatient(broker)
    async with asyncio.timeout(LIMIT_S), KafkaBus.open(tmp_path, settings) as bus:
        await bus.publish([window(1)])
        consumer = AIOKafkaConsumer(
            f"{settings.prefix}chat",
            bootstrap_servers=broker.bootstrap,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            record = await consumer.getone()
        finally:
            await consumer.stop()
    told = {name: text.decode() for name, text in record.headers}
    assert record.key == b"c"
    assert told["ce_id"] == window(1).event_id
    assert told["ce_type"] == "clipthat.chat.window.v1"
    assert told["ce_tenantid"] == "t"
    version, trace, span, flags = told["traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")


async def test_repetitions_are_left_out_and_passed(broker: Broker, tmp_path: Path) -> None:
    settings = impatient(broker)
    async with asyncio.timeout(LIMIT_S), KafkaBus.open(tmp_path / "a", settings) as bus:
        await bus.publish(windows(2))
        async with (
            KafkaBus.open(tmp_path / "b", settings) as other,
            bus.subscribe("early", ["chat"]) as subscription,
        ):
            await other.publish(windows(2))
            records = await read(subscription, 2)
            assert seconds(records) == [0, 1]
            assert await subscription.fetch(10, 0.0) == []
            await subscription.commit(behind(records))
            await caught_up(bus)
            async with KafkaBus.open(tmp_path / "c", settings) as third:
                await third.publish(windows(2))
            # Nothing comes after them that would be committed.
            assert await subscription.fetch(10, 0.0) == []
            await caught_up(bus)


async def test_what_is_fenced_leaves_the_outbox_only_while_its_fence_is_good(
    broker: Broker, tmp_path: Path
) -> None:
    settings, may_write = impatient(broker), True
    async with KafkaBus.open(tmp_path, settings) as bus, asyncio.timeout(LIMIT_S):
        await bus.publish_while([window(0, "c", "c")], lambda: may_write)
        broker.kill()
        await bus.publish_while([window(1, "c", "c"), window(2, "c", "c")], lambda: may_write)
        await bus.publish([window(3, "c", "c")])
        may_write = False
        # The same again, by whoever may write now.
        await bus.publish_while([window(2, "c", "c")], lambda: True)
        await asyncio.to_thread(broker.start)
        await bus.publish([window(4, "c", "c")])
        # What was dropped is not remembered as sent.
        await bus.publish_while([window(1, "c", "c")], lambda: True)
        async with bus.subscribe("fenced", ["chat"]) as subscription:
            records = await read(subscription, 5)
    assert seconds(records) == [0, 2, 3, 4, 1]


async def test_what_was_fenced_by_a_dead_process_is_dropped(broker: Broker, tmp_path: Path) -> None:
    settings = impatient(broker)
    async with KafkaBus.open(tmp_path, settings) as bus, asyncio.timeout(LIMIT_S):
        broker.kill()
        await bus.publish_while([window(0, "c", "c")], lambda: True)
        await bus.publish([window(1, "c", "c")])
    await asyncio.to_thread(broker.start)
    async with KafkaBus.open(tmp_path, settings) as bus, asyncio.timeout(LIMIT_S):
        await bus.publish([window(2, "c", "c")])
        async with bus.subscribe("fenced", ["chat"]) as subscription:
            records = await read(subscription, 2)
    assert seconds(records) == [1, 2]
