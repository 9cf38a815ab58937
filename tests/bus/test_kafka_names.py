"""Members that come back under their name: no group waits for a killed process's session."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.group import LeaveGroupRequest

from bus.errors import Fenced
from bus.kafka import KafkaBus
from bus.kafka_names import Names, heartbeat
from bus.kafka_settings import KafkaSettings
from bus.kafka_subscription import KafkaSubscription
from bus.outbox import Outbox
from bus.ports import Record
from tests.bus.conftest import kafka_settings
from tests.bus.test_contract import behind, channel_of_each_partition, publish_round, read, seconds
from tests.bus.test_kafka_bad_days import fetch_for_ever
from tests.paths import REPOSITORY
from tests.services.fixtures import Broker
from tests.services.kafka_mock import MockKafka

LIMIT_S = 240.0
PARTITIONS = len(channel_of_each_partition())


@pytest.fixture
def settings(kafka: Broker) -> KafkaSettings:
    """Settings by which no member is given up for dead within a test's limit."""
    if isinstance(kafka, MockKafka):
        pytest.skip("the mock cluster keeps no member's place")
    return kafka_settings(kafka, ack_s=60.0, request_s=60.0, connect_s=60.0, session_s=5 * LIMIT_S)


# --- names alone ---


def test_each_member_of_a_group_has_a_name_of_its_own() -> None:
    names = Names("ours")
    first, second = names.give("g", ["chat"]), names.give("g", ["chat"])
    assert first is not None
    assert first != second
    names.take_back("g", first)
    assert names.give("g", ["chat"]) == first
    assert names.give("other", ["chat"]) == first


def test_another_process_gives_the_same_names_for_the_same_topics_only() -> None:
    told = Names("ours").give("g", ["chat", "sessions"])
    assert Names("ours").give("g", ["sessions", "chat"]) == told
    assert Names("ours").give("g", ["chat"]) != told
    assert Names("others").give("g", ["chat", "sessions"]) != told


def test_who_has_no_names_gives_none() -> None:
    names = Names("ours")
    names.give_up()
    assert names.give("g", ["chat"]) is None
    assert Names("").give("g", ["chat"]) is None


def test_a_broker_that_knows_no_names_is_not_asked_for_one() -> None:
    asked = heartbeat("g", 1, "member", "name")
    with pytest.raises(IncompatibleBrokerVersion):
        asked.prepare({12: (0, 2)})
    assert asked.prepare({12: (0, 4)}).API_VERSION == 3


async def test_the_next_process_in_a_folder_has_its_name(tmp_path: Path) -> None:
    async with Outbox.open(tmp_path, 10**6) as one, Outbox.open(tmp_path, 10**6) as two:
        first, second = one.name, two.name
    assert first != second
    async with Outbox.open(tmp_path, 10**6) as one, Outbox.open(tmp_path, 10**6) as two:
        assert (one.name, two.name) == (first, second)


@pytest.mark.parametrize(
    "told", ["", "half a na", "0" * 33, "\xff" * 32], ids=["empty", "half", "long", "damaged"]
)
async def test_a_name_that_was_not_written_whole_is_written_anew(tmp_path: Path, told: str) -> None:
    (tmp_path / "outbox-0.id").write_text(told, "latin-1")
    async with Outbox.open(tmp_path, 10**6) as outbox:
        name = outbox.name
    assert len(name) == 32
    assert (tmp_path / "outbox-0.id").read_text() == name


# --- in a group ---

_CHILD = """
import asyncio, sys
from pathlib import Path
from bus.errors import Fenced
from bus.kafka import KafkaBus
from bus.kafka_settings import KafkaSettings

async def main(bootstrap, prefix, session_s, folder, topics, share):
    settings = KafkaSettings(
        bootstrap=bootstrap, prefix=prefix, session_s=float(session_s), heartbeat_s=0.2,
        request_s=60.0, connect_s=60.0,
    )
    async with (
        KafkaBus.open(Path(folder), settings) as bus,
        bus.subscribe("g", topics.split(",")) as subscription,
    ):
        while len(subscription.owned) != int(share):
            await subscription.fetch(1, 0.2)
        print("ready", flush=True)
        while True:
            await subscription.fetch(1, 60.0)

asyncio.run(main(*sys.argv[1:]))
"""


async def reader_elsewhere(
    settings: KafkaSettings, folder: Path, topics: list[str], share: int
) -> asyncio.subprocess.Process:
    """Start a process that reads, and never commits."""
    told = (settings.bootstrap, settings.prefix, str(settings.session_s), str(folder))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CHILD, *told, ",".join(topics), str(share)),
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )


async def ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def shared(*members: KafkaSubscription) -> None:
    """Read until all partitions are shared out evenly, and everybody has been told what moved."""
    share, moving = PARTITIONS // len(members), True
    while moving:
        moving = False
        for each in members:
            try:
                await each.fetch(1, 0.1)
            except Fenced:
                moving = True
            moving |= len(each.owned) != share


async def while_others_read(
    other: KafkaSubscription, happens: Callable[[], Awaitable[None]]
) -> None:
    """Let a member ask for more as a stage does, until something has happened."""
    task = asyncio.ensure_future(happens())
    while not task.done():
        try:
            await other.fetch(1, 0.1)
        except Fenced:
            continue
    await task


def generation(subscription: KafkaSubscription) -> int:
    return int(subscription._member.consumer._coordinator.generation)


def name_of(subscription: KafkaSubscription) -> str | None:
    name: str | None = subscription._member.consumer._coordinator._group_instance_id
    return name


@pytest.mark.parametrize("topics", [["chat"], ["chat", "sessions"]])
async def test_who_was_killed_goes_on_at_once_and_nobody_else_notices(
    settings: KafkaSettings, tmp_path: Path, topics: list[str]
) -> None:
    share = PARTITIONS * len(topics) // 2
    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path / "here", settings) as bus,
        bus.subscribe("g", topics) as neighbour,
    ):
        child = await reader_elsewhere(settings, tmp_path / "there", topics, share)
        await while_others_read(neighbour, lambda: ready(child))
        kept, turn, at = neighbour.owned, neighbour._member.turn, generation(neighbour)
        assert len(kept) == share
        await publish_round(bus, 0)
        await kill(child)
        async with (
            KafkaBus.open(tmp_path / "there", settings) as again,
            again.subscribe("g", topics) as heir,
        ):
            records = await read(heir, PARTITIONS // 2)
            await heir.commit(behind(records))
            assert not kept & {record.place for record in records}
            assert len(await read(neighbour, PARTITIONS // 2)) == PARTITIONS // 2
            assert (neighbour.owned, neighbour._member.turn) == (kept, turn)
            assert generation(neighbour) == generation(heir) == at


async def test_a_lone_reader_that_was_killed_goes_on_at_once(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    async with asyncio.timeout(LIMIT_S):
        child = await reader_elsewhere(settings, tmp_path, ["chat"], PARTITIONS)
        await ready(child)
        await kill(child)
        async with (
            KafkaBus.open(tmp_path, settings) as bus,
            bus.subscribe("g", ["chat"]) as subscription,
        ):
            await publish_round(bus, 0)
            assert seconds(await read(subscription, PARTITIONS)) == [0] * PARTITIONS


async def test_who_leaves_keeps_nothing_for_its_return(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path / "a", settings) as here,
        KafkaBus.open(tmp_path / "b", settings) as there,
        here.subscribe("g", ["chat"]) as stays,
    ):
        for _ in range(2):
            # The second time it comes back under the name that it had.
            async with there.subscribe("g", ["chat"]) as leaves:
                await shared(stays, leaves)
            await shared(stays)


async def test_members_of_one_process_share_a_group(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path, settings) as bus,
        bus.subscribe("g", ["chat"]) as one,
        bus.subscribe("g", ["chat"]) as two,
    ):
        await shared(one, two)
        assert None is not name_of(one) != name_of(two) is not None
        await publish_round(bus, 0)
        records = [*await read(one, PARTITIONS // 2), *await read(two, PARTITIONS // 2)]
        assert len({record.place for record in records}) == PARTITIONS


async def test_whose_name_another_process_has_is_fenced_and_goes_on_without_one(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    settings = replace(settings, join_s=0.5)
    async with asyncio.timeout(LIMIT_S), KafkaBus.open(tmp_path / "first", settings) as first:
        shutil.copytree(tmp_path / "first", tmp_path / "copy")
        async with (
            first.subscribe("g", ["chat"]) as fenced,
            KafkaBus.open(tmp_path / "copy", settings) as copy,
        ):
            await publish_round(copy, 0)
            held: list[Record] = await read(fenced, 1)
            name = name_of(fenced)
            async with copy.subscribe("g", ["chat"]) as thief:
                assert name_of(thief) == name
                with pytest.raises(Fenced):
                    await fenced.commit(behind(held))
                with pytest.raises(Fenced):
                    await fetch_for_ever(fenced)
                await shared(fenced, thief)
                assert (name_of(fenced), name_of(thief)) == (None, name)
                async with first.subscribe("g", ["chat"]) as later:
                    assert name_of(later) is None
                await shared(fenced, thief)


async def test_who_was_only_forgotten_keeps_its_name(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(LIMIT_S),
        KafkaBus.open(tmp_path, settings) as bus,
        bus.subscribe("g", ["chat"]) as subscription,
    ):
        await publish_round(bus, 0)
        await read(subscription, PARTITIONS)
        name, coordinator = name_of(subscription), subscription._member.consumer._coordinator
        await coordinator._send_req(LeaveGroupRequest(coordinator.group_id, coordinator.member_id))
        with pytest.raises(Fenced):
            await fetch_for_ever(subscription)
        assert seconds(await read(subscription, PARTITIONS)) == [0] * PARTITIONS
        assert name_of(subscription) == name is not None
