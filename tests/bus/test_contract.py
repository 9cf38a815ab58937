"""What every bus promises: the same tests for each of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest

from bus.consume import consume
from bus.errors import BusError, Fenced, MalformedEvent, Unavailable
from bus.events import ChatWindow
from bus.ports import Bus, Record, Subscription
from bus.stage import Ctx
from bus.topics import TOPICS, dlq_name
from tests.bus.conftest import OpenBus
from tests.bus.world import CountingMeter, SteppedClock, ended, started, window, windows

LONG_S = 30.0
"""More than any record needs to come."""


async def read(subscription: Subscription, count: int) -> list[Record]:
    """Fetch until so many records have come."""
    records: list[Record] = []
    while len(records) < count:
        got = await subscription.fetch(count - len(records), LONG_S)
        assert got, f"only {len(records)} of {count} records came"
        records += got
    return records


def seconds(records: Sequence[Record]) -> list[int]:
    return [int(record.event.media_s) for record in records if isinstance(record.event, ChatWindow)]


def behind(records: Sequence[Record]) -> dict[object, int]:
    return {record.place: record.offset + 1 for record in records}


async def test_events_come_back_equal_and_in_order(open_bus: OpenBus) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        await bus.publish(windows(5))
        records = await read(subscription, 5)
        assert [record.event for record in records] == windows(5)
        assert [record.offset for record in records] == [0, 1, 2, 3, 4]


async def test_each_key_keeps_its_order_among_many(open_bus: OpenBus) -> None:
    channels = [f"channel-{n}" for n in range(12)]
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        await asyncio.gather(
            *(
                bus.publish([window(s, c, c) for s in range(k, k + 5)])
                for k in range(0, 20, 5)
                for c in channels
            )
        )
        records = await read(subscription, 20 * len(channels))
    for channel in channels:
        assert seconds([r for r in records if r.event.channel_id == channel]) == list(range(20))
        assert len({r.partition for r in records if r.event.channel_id == channel}) == 1


async def test_a_batch_is_no_larger_than_asked(open_bus: OpenBus) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        await bus.publish(windows(25))
        sizes = [len(await subscription.fetch(10, LONG_S)) for _ in range(3)]
        assert sizes == [10, 10, 5]


async def test_an_id_that_is_there_already_is_left_out(open_bus: OpenBus) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        await bus.publish([window(1), window(1), window(2)])
        await bus.publish([window(2), window(3)])
        records = await read(subscription, 3)
        assert seconds(records) == [1, 2, 3]
        assert [record.offset for record in records] == [0, 1, 2]
        assert await subscription.fetch(10, 0.0) == []


async def test_nothing_of_a_publish_stands_when_one_event_is_malformed(open_bus: OpenBus) -> None:
    broken = ChatWindow(tenant_id="t", channel_id="c", session_id="s", media_s=float("nan"))
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        with pytest.raises(MalformedEvent):
            await bus.publish([window(1), broken])
        assert await subscription.fetch(10, 0.0) == []


async def test_what_is_not_committed_comes_again(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish(windows(6))
        async with bus.subscribe("g", ["chat"]) as crashing:
            records = await read(crashing, 4)
            await crashing.commit({records[1].place: records[1].offset + 1})
        async with bus.subscribe("g", ["chat"]) as next_one:
            assert seconds(await read(next_one, 4)) == [2, 3, 4, 5]


async def test_what_is_committed_does_not_come_again_after_reopening(open_bus: OpenBus) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        await bus.publish(windows(3))
        await subscription.commit(behind(await read(subscription, 3)))
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        await bus.publish([window(3)])
        assert seconds(await read(subscription, 1)) == [3]


async def replayed(bus: Bus, key: str, topics: Sequence[str], since_s: float = 0.0) -> list[Record]:
    return [record async for record in bus.replay(key, topics, since_s=since_s)]


async def test_a_key_is_replayed_in_order_and_alone(open_bus: OpenBus) -> None:
    channels = [f"channel-{n}" for n in range(9)]
    async with open_bus() as bus:
        for channel in channels:
            await bus.publish(
                [started(f"of-{channel}", channel), *windows(3, f"s-{channel}", channel)]
            )
        for channel in channels:
            records = await replayed(bus, channel, ["sessions", "chat"])
            assert seconds(records) == [0, 1, 2]
            told = [r.event.session_id for r in records if r.topic == "sessions"]
            assert told == [f"of-{channel}"]


async def test_a_replay_ends_at_what_was_there_and_moves_nobody(open_bus: OpenBus) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        assert await replayed(bus, "c", ["chat", "segments"]) == []
        await bus.publish(windows(3))
        seen = []
        async for record in bus.replay("c", ["chat"]):
            seen.append(record)
            await bus.publish([window(100 + len(seen))])
        assert seconds(seen) == [0, 1, 2]
        assert seconds(await replayed(bus, "c", ["chat"])) == [0, 1, 2, 101, 102, 103]
        assert seconds(await read(subscription, 6)) == [0, 1, 2, 101, 102, 103]


async def test_a_replay_leaves_out_what_is_older(open_bus: OpenBus, clock: SteppedClock) -> None:
    async with open_bus() as bus:
        began_s = clock.now_s
        for second in range(6):
            await bus.publish([window(second)])
            clock.step(10.0)
        for skipped in range(7):
            records = await replayed(bus, "c", ["chat"], began_s + 10.0 * skipped - 5.0)
            assert seconds(records) == list(range(skipped, 6))


async def test_a_replay_of_no_topic_of_ours_is_refused(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        with pytest.raises(BusError):
            await replayed(bus, "c", ["chat", "gossip"])


async def test_two_groups_read_everything_each(open_bus: OpenBus) -> None:
    async with open_bus() as bus:
        await bus.publish(windows(4))
        async with bus.subscribe("a", ["chat"]) as a, bus.subscribe("b", ["chat"]) as b:
            first = await read(a, 4)
            await a.commit(behind(first))
            assert seconds(await read(b, 4)) == seconds(first) == [0, 1, 2, 3]


async def test_several_topics_come_in_the_order_of_publishing(open_bus: OpenBus) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat", "sessions"]) as subscription:
        told = [started("s"), *windows(3), ended("s")]
        for event in told:
            await bus.publish([event])
        assert [record.event for record in await read(subscription, 5)] == told


async def test_that_order_holds_whatever_the_sizes_of_the_fetches(open_bus: OpenBus) -> None:
    chance = random.Random(7)
    told = [
        started(f"s{n}") if chance.random() < 0.3 else window(n, channel=f"c{n % 3}")
        for n in range(300)
    ]
    async with open_bus() as bus, bus.subscribe("g", ["chat", "sessions"]) as subscription:
        await bus.publish(told)
        records: list[Record] = []
        while len(records) < len(told):
            records += await subscription.fetch(chance.randint(1, 12), LONG_S)
        assert [record.event for record in records] == told


async def test_a_waiting_reader_wakes_on_a_publish(open_bus: OpenBus) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        waiting = asyncio.create_task(subscription.fetch(10, LONG_S))
        await asyncio.sleep(0)
        await bus.publish([window(7)])
        assert seconds(await waiting) == [7]


async def test_a_waiting_reader_sees_what_another_process_publishes(open_bus: OpenBus) -> None:
    async with (
        open_bus() as here,
        open_bus() as there,
        here.subscribe("g", ["chat"]) as subscription,
    ):
        waiting = asyncio.create_task(subscription.fetch(10, LONG_S))
        await asyncio.sleep(0)
        await there.publish([window(7)])
        assert seconds(await waiting) == [7]


def channel_of_each_partition() -> list[str]:
    """Return one channel name for every partition of `chat`."""
    topic, found = TOPICS["chat"], {}
    for n in range(1000):
        found.setdefault(topic.partition_of(f"c{n}"), f"c{n}")
    return [found[partition] for partition in range(topic.partitions)]


async def publish_round(bus: Bus, second: int) -> None:
    await bus.publish([window(second, c, c) for c in channel_of_each_partition()])


async def drained(subscription: Subscription) -> list[Record]:
    """Fetch until nothing more is there; partitions that move meanwhile are no error."""
    records: list[Record] = []
    while True:
        try:
            got = await subscription.fetch(100, 0.0)
        except Fenced:
            continue
        if not got:
            return records
        records += got


@pytest.mark.shared_group
async def test_two_members_share_the_partitions_and_one_inherits_all(open_bus: OpenBus) -> None:
    async with open_bus() as here, open_bus() as there, here.subscribe("g", ["chat"]) as first:
        await publish_round(here, 0)
        await first.commit(behind(await read(first, 4)))
        async with there.subscribe("g", ["chat"]) as second:
            assert await drained(first) == []
            await publish_round(here, 1)
            mine, theirs = await drained(first), await drained(second)
            assert {r.partition for r in mine} | {r.partition for r in theirs} == {0, 1, 2, 3}
            assert len(mine) == len(theirs) == 2
            await first.commit(behind(mine))
            await second.commit(behind(theirs))
        await publish_round(here, 2)
        assert len(await drained(first)) == 4


@pytest.mark.shared_group
async def test_a_member_without_a_partition_stops_nobody_and_inherits(open_bus: OpenBus) -> None:
    seen: dict[int, set[int]] = {n: set() for n in range(5)}
    news = asyncio.Event()

    async def collect(n: int, bus: Bus) -> None:
        async with bus.subscribe("g", ["chat"]) as member:
            while True:
                try:
                    records = await member.fetch(100, 0.2)
                except Fenced:
                    continue
                seen[n].update(seconds(records))
                news.set()

    async def until(is_so: Callable[[], bool]) -> None:
        while not is_so():
            news.clear()
            await news.wait()

    async with open_bus() as bus, asyncio.TaskGroup() as group:
        tasks = [group.create_task(collect(n, bus)) for n in seen]
        await publish_round(bus, 0)
        await until(lambda: sum(0 in found for found in seen.values()) >= 4)
        for task in tasks[1:]:
            task.cancel()
        await publish_round(bus, 1)
        await until(lambda: 1 in seen[0])
        tasks[0].cancel()


@pytest.mark.shared_group
async def test_a_member_that_is_silent_too_long_is_fenced(
    open_bus: OpenBus, clock: SteppedClock
) -> None:
    async with open_bus() as here, open_bus() as there, here.subscribe("g", ["chat"]) as stuck:
        await here.publish(windows(3))
        held = await read(stuck, 3)
        clock.step(31.0)
        async with there.subscribe("g", ["chat"]) as heir:
            again = await read(heir, 3)
            assert seconds(again) == [0, 1, 2]
            with pytest.raises(Fenced):
                await stuck.commit(behind(held))
            await heir.commit(behind(again))
            assert [lag.messages for lag in await there.lag("g")] == [0, 0, 0, 0]


@pytest.mark.shared_group
async def test_a_long_handler_keeps_its_partitions(open_bus: OpenBus, clock: SteppedClock) -> None:
    async with open_bus() as here, open_bus() as there, here.subscribe("g", ["chat"]) as slow:
        await here.publish(windows(3))
        held = await read(slow, 3)
        for _ in range(10):
            clock.step(12.0)
            await here.heartbeat()
        async with there.subscribe("g", ["chat"]) as other:
            assert await drained(other) == []
            await slow.commit(behind(held))


async def test_a_poison_record_goes_to_the_dead_letters_and_the_rest_goes_on(
    open_bus: OpenBus,
) -> None:
    handled: list[int] = []
    calls = 0
    async with open_bus() as bus:
        ctx = Ctx(bus=bus, meter=CountingMeter())

        async def handle(records: Sequence[Record]) -> None:
            nonlocal calls
            calls += 1
            if 2 in seconds(records):
                raise ValueError("two is too much")
            handled.extend(seconds(records))
            if 4 in seconds(records):
                ctx.draining.set()

        await bus.publish(windows(5))
        await asyncio.wait_for(consume(ctx, "g", ["chat"], handle, retry_first_s=0.0), LONG_S)
        assert handled == [0, 1, 3, 4]
        assert calls == 3 + 2 + 3 + 2
        [letter] = await bus.dead_letters("chat")
        assert (letter.topic, letter.offset, letter.group) == ("chat", 2, "g")
        assert letter.attempts == 6
        assert letter.error == "ValueError: two is too much"
        assert b'"media_s":2.0' in letter.value
        assert [lag.messages for lag in await bus.lag("g")] == [0, 0, 0, 0]
        assert dlq_name("chat") == "chat.dlq"


async def test_a_rejected_record_lies_once_in_the_dead_letters(open_bus: OpenBus) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        await bus.publish([window(1)])
        [record] = await read(subscription, 1)
        await subscription.reject(record, "once", 1)
        await subscription.reject(record, "twice", 2)
        assert [letter.error for letter in await bus.dead_letters("chat")] == ["once"]


async def test_a_missing_service_stops_the_reader_and_blames_no_record(open_bus: OpenBus) -> None:
    async with open_bus() as bus:

        async def handle(_: Sequence[Record]) -> None:
            raise Unavailable("the store is down")

        await bus.publish(windows(2))
        with pytest.raises(Unavailable):
            await consume(Ctx(bus=bus), "g", ["chat"], handle, retry_first_s=0.0)
        assert await bus.dead_letters("chat") == []
        async with bus.subscribe("g", ["chat"]) as subscription:
            assert seconds(await read(subscription, 2)) == [0, 1]


async def test_lag_tells_messages_and_the_age_of_the_oldest(
    open_bus: OpenBus, clock: SteppedClock
) -> None:
    async with open_bus() as bus, bus.subscribe("g", ["chat"]) as subscription:
        await bus.publish([window(0)])
        clock.step(5.0)
        await bus.publish([window(1), window(2)])
        clock.step(2.0)
        behind_by = {(lag.messages, lag.seconds) for lag in await bus.lag("g")}
        assert behind_by == {(3, 7.0), (0, 0.0)}
        [first, *_] = await read(subscription, 3)
        await subscription.commit(behind([first]))
        assert (2, 2.0) in {(lag.messages, lag.seconds) for lag in await bus.lag("g")}
