"""What a watch hears of its channel's earlier sessions from a bus that is slow to give."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bus.errors import BusError
from bus.events import ChatWindow, Event, SessionStarted
from bus.local import LocalBus
from bus.ports import Bus, Lag, Record, Subscription, TopicPartition
from ingest.history import read_history

_EVENTS: tuple[Event, ...] = (
    SessionStarted(
        tenant_id="t", channel_id="c", session_id="s", kind="live", title="", source="http://x"
    ),
    *(
        ChatWindow(tenant_id="t", channel_id="c", session_id="s", media_s=float(second))
        for second in range(5)
    ),
)


class SlowBus:
    """Holds back what it has read for the first few times that it is asked."""

    def __init__(self, bus: Bus, silent: int) -> None:
        self._bus = bus
        self._silent = silent
        self._held: list[Record] = []

    async def publish(self, events: Sequence[Event]) -> None:
        await self._bus.publish(events)

    @contextlib.asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> AsyncIterator[Subscription]:
        async with self._bus.subscribe(group, topics) as self._log:
            yield self

    async def fetch(self, max_records: int, timeout_s: float) -> list[Record]:
        self._held += await self._log.fetch(max_records, timeout_s)
        if self._silent > 0:
            self._silent -= 1
            return []
        given, self._held = self._held, []
        return given

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        await self._log.commit(next_offsets)

    async def reject(self, record: Record, error: str, attempts: int) -> None:
        await self._log.reject(record, error, attempts)

    async def lag(self, group: str) -> list[Lag]:
        return await self._bus.lag(group)


class _CountsTwice(SlowBus):
    """Counts records that it leaves out because it has had them before."""

    async def lag(self, group: str) -> list[Lag]:
        return [replace(lag, messages=2 * lag.messages) for lag in await super().lag(group)]


async def test_silence_is_not_the_end_of_the_log(tmp_path: Path) -> None:
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        await bus.publish(_EVENTS)
        logs = await read_history(SlowBus(bus, silent=5), "t", "c", quiet_s=0.01)
    assert list(logs) == ["s"]
    assert logs["s"].chat_until_s == 5.0


async def test_a_log_of_which_nothing_comes_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        await bus.publish(_EVENTS)
        with pytest.raises(BusError):
            await read_history(SlowBus(bus, silent=10_000), "t", "c", quiet_s=0.01)


async def test_what_a_log_counts_twice_and_gives_once_is_waited_for_no_longer(
    tmp_path: Path,
) -> None:
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        await bus.publish(_EVENTS)
        assert list(await read_history(_CountsTwice(bus, 0), "t", "c", quiet_s=0.01)) == ["s"]


async def test_an_empty_log_tells_of_nothing(tmp_path: Path) -> None:
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        assert await read_history(bus, "t", "c", quiet_s=0.01) == {}
