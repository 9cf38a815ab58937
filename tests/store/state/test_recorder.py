"""The recorder, from the bus to the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bus.local import LocalBus
from bus.ports import SilentMeter
from bus.stage import Ctx
from store.state import Recorder, State
from store.state.apply import record
from store.state.errors import StateUnavailable
from store.state.queries import list_sessions
from tests.store.state.story import records, story
from tests.store.state.test_apply import expected, stored, unheard


class Counting(SilentMeter):
    """Sets an event when as many events have been counted as are awaited."""

    def __init__(self, awaited: int) -> None:
        self.left = awaited
        self.reached = asyncio.Event()

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        if name == "clipthat_recorded_events_total":
            self.left -= round(by)
            if self.left <= 0:
                self.reached.set()


async def test_what_is_published_is_recorded_and_resumed(state: State, tmp_path: Path) -> None:
    events = story()
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        for part in (events[:20], events[20:]):
            meter = Counting(len(part))
            ctx = Ctx(bus=bus, meter=meter)
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                group.create_task(Recorder(state).run(ctx))
                await bus.publish(part)
                await meter.reached.wait()
                ctx.draining.set()
        assert all(lag.messages == 0 for lag in await bus.lag("recorder"))
    assert unheard(await stored(state)) == unheard(expected())
    (session,) = await list_sessions(state, "acme")
    assert session.clips_ready == 1


async def test_a_locked_database_is_nobodys_fault(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    async with (
        State.open(url, busy_timeout_s=0.01) as state,
        State.open(url, busy_timeout_s=0.01) as other,
        other.writing(),
    ):
        with pytest.raises(StateUnavailable, match="locked"):
            await record(state, records(story()))
