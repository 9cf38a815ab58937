"""The database's server goes away while events are recorded, and comes back."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from bus.local import LocalBus
from bus.stage import Ctx
from ops.supervisor import Supervisor, SupervisorSettings
from store.state import Recorder, State
from store.state.errors import StateUnavailable
from store.state.fold import TOPICS
from store.state.queries import list_sessions
from tests.services.postgres import Postgres
from tests.store.state.story import story
from tests.store.state.test_apply import expected, stored, unheard
from tests.store.state.test_recorder import Counting


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
async def test_a_recorder_outlives_its_server_and_loses_nothing(
    postgres: Postgres, postgres_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    sessions = [story(session_id=f"s{n}") for n in range(6)]
    failed = asyncio.Event()

    class Failing(Recorder):
        async def run(self, ctx: Ctx) -> None:
            try:
                await super().run(ctx)
            except StateUnavailable:
                failed.set()
                raise

    async with (
        State.open(postgres_url, tenant_id="acme") as state,
        LocalBus.open(tmp_path / "bus.db") as bus,
    ):
        total = sum(map(len, sessions))
        first, last = Counting(len(sessions[0])), Counting(total)

        class Both(Counting):
            def count(self, name: str, by: float = 1.0, **labels: str) -> None:
                first.count(name, by, **labels)
                last.count(name, by, **labels)

        ctx = Ctx(bus=bus, meter=Both(0))
        supervisor = Supervisor(ctx, SupervisorSettings())
        async with asyncio.timeout(150), asyncio.TaskGroup() as group:
            group.create_task(supervisor.run([Failing(state)]))
            await bus.publish(sessions[0])
            await first.reached.wait()
            await asyncio.to_thread(postgres.stop, how)
            for events in sessions[1:4]:
                await bus.publish(events)
            await failed.wait()
            with pytest.raises(StateUnavailable):
                await list_sessions(state, "acme")
            await asyncio.to_thread(postgres.start)
            for events in sessions[4:]:
                await bus.publish(events)
            await last.reached.wait()
            ctx.draining.set()
        assert all(lag.messages == 0 for lag in await bus.lag("recorder"))
        assert len(await list_sessions(state, "acme")) == len(sessions)
        for topic in TOPICS:
            assert await bus.dead_letters(topic) == []
        assert unheard(await stored(state)) == unheard(expected(*sessions))
