"""What the local bus does beyond the contract: its file, its upkeep, its limits."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import apsw
import pytest

from bus.errors import BusClosed, BusError, BusFull
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from tests.bus.test_contract import LONG_S, behind, drained, read, seconds
from tests.bus.world import CountingMeter, SteppedClock, window, windows
from tests.paths import REPOSITORY

FAST = LocalBusSettings(synchronous="NORMAL", poll_s=0.005)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "bus.db"


def values(path: Path, query: str) -> list[object]:
    connection = apsw.Connection(str(path))
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


def spoil(path: Path, value: bytes, offset: int) -> None:
    """Overwrite a record, as a bug or a newer version would have written it."""
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE rec SET val=? WHERE topic='chat' AND off=?", (value, offset))
    connection.close()


async def test_publishes_that_wait_together_are_committed_together(path: Path) -> None:
    async with LocalBus.open(path, FAST) as bus:
        commits = 0

        def committing() -> bool:
            nonlocal commits
            commits += 1
            return False

        await bus.file.read(lambda db: db.set_commit_hook(committing))
        await asyncio.gather(*(bus.publish([window(n)]) for n in range(200)))
        assert commits < 20
        async with bus.subscribe("g", ["chat"]) as subscription:
            assert seconds(await read(subscription, 200)) == list(range(200))


async def test_a_step_that_fails_undoes_itself_alone(path: Path) -> None:
    async with LocalBus.open(path, FAST) as bus:

        def fail(db: apsw.Connection) -> None:
            db.execute("DELETE FROM rec")
            raise BusError("no")

        first = asyncio.ensure_future(bus.publish([window(0)]))
        failing = asyncio.ensure_future(bus.file.write(fail))
        last = asyncio.ensure_future(bus.publish([window(1)]))
        await asyncio.gather(first, last)
        with pytest.raises(BusError, match="no"):
            await failing
    assert values(path, "SELECT count(*) FROM rec") == [2]


async def test_records_that_cannot_be_read_go_to_the_dead_letters_by_themselves(
    path: Path,
) -> None:
    meter = CountingMeter()
    async with LocalBus.open(path, FAST, meter=meter) as bus:
        await bus.publish(windows(6))
        spoil(path, b"not json", 0)
        spoil(path, b'{"type":"clipthat.future.v7"}', 3)
        spoil(path, b"{}", 5)
        async with bus.subscribe("g", ["chat"]) as subscription:
            records = await drained(subscription)
            assert seconds(records) == [1, 2, 4]
            assert {lag.messages for lag in await bus.lag("g")} == {0, 5}
            await subscription.commit(behind(records))
            assert {lag.messages for lag in await bus.lag("g")} == {0}
        letters = await bus.dead_letters("chat")
        assert [(letter.offset, letter.value) for letter in letters] == [
            (0, b"not json"),
            (3, b'{"type":"clipthat.future.v7"}'),
            (5, b"{}"),
        ]
        assert meter.counts["clipthat_bus_dead_letters_total"] == 3


async def test_a_member_is_kept_alive_without_asking(path: Path) -> None:
    clock = SteppedClock()
    settings = LocalBusSettings(synchronous="NORMAL", heartbeat_s=0.001)
    async with LocalBus.open(path, settings, clock=clock) as bus, bus.subscribe("g", ["chat"]):
        clock.step(1000.0)
        async with asyncio.timeout(LONG_S):
            await clock.is_asked()
        await bus.file.read(lambda _: None)
        assert values(path, "SELECT lease FROM member") == [clock.now_s + 30.0]
        assert set(values(path, "SELECT lease FROM cur")) == {clock.now_s + 30.0}


async def test_old_records_go_once_they_are_committed(path: Path) -> None:
    clock = SteppedClock()
    async with LocalBus.open(path, FAST, clock=clock) as bus:
        await bus.publish(windows(3000))
        async with bus.subscribe("g", ["chat"]) as subscription:
            await subscription.commit(behind(await read(subscription, 2500)))
            clock.step(FAST.retention_s - 1)
            await bus.publish([window(4000)])
            await bus.trim()
            assert values(path, "SELECT count(*) FROM rec") == [3001]
            clock.step(2.0)
            await bus.heartbeat()
            await bus.trim()
            assert values(path, "SELECT min(off) FROM rec") == [2500]
            clock.step(FAST.retention_max_s - FAST.retention_s)
            await bus.heartbeat()
            await bus.trim()
            assert values(path, "SELECT off FROM rec") == [3000]
        async with bus.subscribe("new", ["chat"]) as subscription:
            assert seconds(await read(subscription, 1)) == [4000]
            await bus.publish([window(4001)])
            assert seconds(await read(subscription, 1)) == [4001]


async def test_a_reader_goes_on_behind_what_has_been_trimmed_before_it(path: Path) -> None:
    clock = SteppedClock()
    async with LocalBus.open(path, FAST, clock=clock) as bus:
        await bus.publish(windows(10))
        async with bus.subscribe("slow", ["chat"]) as subscription:
            clock.step(FAST.retention_max_s + 1)
            await bus.trim()
            assert await drained(subscription) == []
            await bus.publish([window(11)])
            assert seconds(await read(subscription, 1)) == [11]


async def test_groups_that_never_committed_are_forgotten(path: Path) -> None:
    clock = SteppedClock()
    async with LocalBus.open(path, FAST, clock=clock) as bus:
        await bus.publish(windows(3))
        async with bus.subscribe("throw-away", ["chat"]) as subscription:
            await read(subscription, 3)
            assert len(await bus.lag("throw-away")) == 4
        assert await bus.lag("throw-away") == []
        async with bus.subscribe("lasting", ["chat"]) as subscription:
            await subscription.commit(behind(await read(subscription, 3)))
        assert len(await bus.lag("lasting")) == 4


async def test_a_killed_reader_that_never_committed_is_forgotten(path: Path) -> None:
    clock = SteppedClock()
    async with LocalBus.open(path, FAST, clock=clock) as bus:
        await bus.publish(windows(3))
        async with bus.subscribe("killed", ["chat"]):
            clock.step(60.0)
            await bus.trim()
            assert await bus.lag("killed") == []


async def test_a_full_bus_says_so_and_goes_on_when_there_is_space(path: Path) -> None:
    small = LocalBusSettings(synchronous="NORMAL", size_max_bytes=400_000)
    clock = SteppedClock()
    async with LocalBus.open(path, small, clock=clock) as bus:
        told = 0

        async def fill() -> None:
            nonlocal told
            for told in range(0, 100_000, 100):
                await bus.publish([window(n) for n in range(told, told + 100)])

        with pytest.raises(BusFull, match="no space is left"):
            await fill()
        clock.step(small.retention_max_s + 1)
        await bus.trim()
        await bus.publish([window(n) for n in range(told, told + 100)])
        async with bus.subscribe("g", ["chat"]) as subscription:
            assert seconds(await drained(subscription)) == list(range(told, told + 100))


async def test_a_damaged_or_foreign_file_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(BusError, match="damaged"):
        async with LocalBus.open(path, FAST):
            pass
    path.unlink()
    async with LocalBus.open(path, FAST):
        pass
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(BusError, match="format 99"):
        async with LocalBus.open(path, FAST):
            pass


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BusError):
        async with LocalBus.open(tmp_path, FAST):
            pass


async def test_a_closed_bus_says_so(path: Path) -> None:
    async with LocalBus.open(path, FAST) as bus:
        pass
    with pytest.raises(BusClosed):
        await bus.publish([window(1)])


async def test_an_unknown_topic_is_refused(path: Path) -> None:
    async with LocalBus.open(path, FAST) as bus:
        with pytest.raises(BusError, match="no topic nowhere"):
            async with bus.subscribe("g", ["nowhere"]):
                pass


_PUBLISHER = """
import asyncio, sys
from pathlib import Path
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from tests.bus.world import window

async def main(path, first):
    async with LocalBus.open(path, LocalBusSettings()) as bus:
        for n in range(first, first + 1_000_000, 3):
            await bus.publish([window(n), window(n + 1), window(n + 2)])
            print(n + 2, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def test_a_publisher_killed_at_any_time_loses_nothing_it_was_told_is_there(
    path: Path,
) -> None:
    for life in range(4):
        publisher = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PUBLISHER,
            str(path),
            str(life * 1_000_000),
            stdout=asyncio.subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert publisher.stdout is not None
        acked = -1
        for _ in range(10 + 3 * life):
            acked = int(await publisher.stdout.readline())
        publisher.send_signal(signal.SIGKILL)
        rest = await publisher.stdout.read()
        acked = int(rest.split()[-1]) if rest.split() else acked
        await publisher.wait()
        async with LocalBus.open(path, FAST) as bus, bus.subscribe("g", ["chat"]) as subscription:
            records = await drained(subscription)
            got = seconds(records)
            assert got == list(range(life * 1_000_000, life * 1_000_000 + len(got)))
            assert got[-1] >= acked
            assert len(got) % 3 == 0
            await subscription.commit(behind(records))


_READER = """
import asyncio, sys
from pathlib import Path
from bus.local import LocalBus

async def main(path):
    async with LocalBus.open(path) as bus, bus.subscribe("g", ["chat"]) as subscription:
        print(len(await subscription.fetch(10, 5.0)), flush=True)
        await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_the_heir_of_a_killed_reader_does_not_wait_for_its_lease(path: Path) -> None:
    async with LocalBus.open(path, FAST) as bus:
        await bus.publish(windows(3))
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _READER, str(path), stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    assert reader.stdout is not None
    assert await reader.stdout.readline() == b"3\n"
    async with LocalBus.open(path, FAST) as bus, bus.subscribe("g", ["chat"]) as heir:
        assert set(values(path, "SELECT count(DISTINCT owner) FROM cur")) == {1}
        reader.send_signal(signal.SIGKILL)
        await reader.wait()
        await bus.heartbeat()
        assert seconds(await read(heir, 3)) == [0, 1, 2]
    assert list(path.with_name("bus.db.present").iterdir()) == []


async def test_a_new_process_frees_at_once_what_a_killed_one_held(path: Path) -> None:
    async with LocalBus.open(path, FAST) as bus:
        await bus.publish(windows(3))
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _READER, str(path), stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    assert reader.stdout is not None
    assert await reader.stdout.readline() == b"3\n"
    reader.send_signal(signal.SIGKILL)
    await reader.wait()
    async with LocalBus.open(path, FAST) as bus, bus.subscribe("g", ["chat"]) as heir:
        assert seconds(await read(heir, 3)) == [0, 1, 2]
