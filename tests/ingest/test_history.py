"""What a watch hears of its channel's earlier sessions, and how much of the log it reads for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.events import (
    ChatWindow,
    Event,
    MinuteWatched,
    ReactionLearned,
    SegmentMissing,
    SessionEnded,
    SessionStarted,
)
from bus.local import LocalBus
from bus.ports import Lag, Record, Subscription
from ingest.history import read_history
from tests.bus.world import SteppedClock

HOUR_S = 3600.0


class CountedBus:
    """Counts what is read of each topic."""

    def __init__(self, bus: LocalBus) -> None:
        self._bus = bus
        self.read: Counter[str] = Counter()

    async def publish(self, events: Sequence[Event]) -> None:
        await self._bus.publish(events)

    @asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> AsyncIterator[Subscription]:
        async with self._bus.subscribe(group, topics) as log:
            yield log

    async def replay(
        self, key: str, topics: Sequence[str], *, since_s: float = 0.0
    ) -> AsyncGenerator[Record]:
        async for record in self._bus.replay(key, topics, since_s=since_s):
            self.read[record.topic] += 1
            yield record

    async def lag(self, group: str) -> list[Lag]:
        return await self._bus.lag(group)


def started(session: str, channel: str = "c") -> SessionStarted:
    return SessionStarted(
        tenant_id="t",
        channel_id=channel,
        session_id=session,
        kind="live",
        title="",
        source="http://x",
        has_chat=True,
    )


def missing(session: str, second: float) -> SegmentMissing:
    return SegmentMissing(
        tenant_id="t",
        channel_id="c",
        session_id=session,
        epoch=0,
        seq=int(second),
        media_s=second,
        duration_s=1.0,
        reason="missing",
    )


def said(session: str, second: float) -> ChatWindow:
    return ChatWindow(tenant_id="t", channel_id="c", session_id=session, media_s=second)


def over(session: str) -> SessionEnded:
    return SessionEnded(
        tenant_id="t",
        channel_id="c",
        session_id=session,
        media_s=5.0,
        chat_until_s=5.0,
        stored_s=0.0,
        missing_s=5.0,
        reason="ended",
    )


@pytest.fixture
async def bus(tmp_path: Path, clock: SteppedClock) -> AsyncIterator[CountedBus]:
    async with LocalBus.open(tmp_path / "bus.db", clock=clock) as local:
        yield CountedBus(local)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


async def watched(bus: CountedBus, clock: SteppedClock, session: str, seconds: int) -> None:
    """Publish a session that goes on, second by second."""
    await bus.publish([started(session)])
    for second in range(seconds):
        clock.step(1.0)
        await bus.publish([missing(session, float(second)), said(session, float(second))])


async def test_an_empty_log_tells_of_nothing(bus: CountedBus) -> None:
    assert await read_history(bus, "t", "c", 0.0) == {}


async def test_an_open_session_is_told_whole(bus: CountedBus, clock: SteppedClock) -> None:
    await watched(bus, clock, "s", 9)
    minute = MinuteWatched(tenant_id="t", channel_id="c", session_id="s", minute=0, media_s=9.0)
    await bus.publish([minute, started("other", "another channel")])
    logs = await read_history(bus, "t", "c", clock.now_s)
    assert list(logs) == ["s"]
    assert (logs["s"].media_end_s, logs["s"].missing_s, logs["s"].chat_until_s) == (9.0, 9.0, 9.0)
    assert logs["s"].last_heard_s == clock.now_s
    assert not logs["s"].ended


async def test_what_ended_sessions_hold_is_not_read_again(
    bus: CountedBus, clock: SteppedClock
) -> None:
    for session in ("first", "second"):
        await watched(bus, clock, session, 50)
        await bus.publish([over(session)])
        clock.step(HOUR_S)
    learned = ReactionLearned(
        tenant_id="t",
        channel_id="c",
        session_id="second",
        media_s=3.0,
        delay_s=4.5,
        usual_s=4.0,
        spread_s=1.0,
        samples=9,
    )
    await bus.publish([learned])
    await watched(bus, clock, "third", 5)
    logs = await read_history(bus, "t", "c", clock.now_s)
    assert {name: log.ended for name, log in logs.items()} == {
        "first": True,
        "second": True,
        "third": False,
    }
    assert logs["second"].reaction_s == 4.5
    assert logs["third"].media_end_s == logs["third"].chat_until_s == 5.0
    assert bus.read["segments"] == bus.read["chat"] == 5


async def test_of_a_long_session_only_the_newest_chat_is_read(
    bus: CountedBus, clock: SteppedClock
) -> None:
    await bus.publish([started("s")])
    for second in range(0, 3 * 3600, 60):
        await bus.publish([said("s", float(second))])
        clock.step(60.0)
    logs = await read_history(bus, "t", "c", clock.now_s)
    assert logs["s"].chat_until_s == 3 * 3600 - 59.0
    assert bus.read["chat"] == 10


async def test_chat_that_has_been_away_for_long_is_found_all_the_same(
    bus: CountedBus, clock: SteppedClock
) -> None:
    await watched(bus, clock, "s", 5)
    clock.step(HOUR_S)
    await bus.publish([missing("s", 5.0)])
    logs = await read_history(bus, "t", "c", clock.now_s)
    assert (logs["s"].chat_until_s, logs["s"].media_end_s) == (5.0, 6.0)
