"""What a fleet stands on goes away for a while, and comes back.

Law: a time is counted from the instant at which the service answers again; how far behind a channel
is follows from the log alone.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from bus.events import stable_id
from store.errors import StoreError
from store.state.queries import list_sessions
from tests.chaos.checks import Count, told
from tests.chaos.kafka_log import KafkaLog
from tests.chaos.leases import until
from tests.chaos.run import Disturb, Scene, leave, say

FROZEN_S = 60.0
DEAD_S = 20.0
BEHIND_MAX_S = 10.0
CAUGHT_UP_S = 60.0
RESUMED_S = 30.0
_CALM_S = 45.0
_LEFT_AFTER_S = 20.0
_LIMIT_S = 300.0


def kafka_outages(seed: int) -> Disturb:
    """Freeze the broker, then kill it; while it is frozen one worker of each role must leave."""

    async def disturb(scene: Scene) -> list[Count]:
        kafka, log = scene.stand.kafka, scene.stand.log
        assert kafka is not None
        assert log is not None
        await asyncio.sleep(_CALM_S)
        usual_s = behind_s(scene, log)
        say(f"{usual_s:.1f} s behind in the calm; Kafka freezes")
        leaving = _one_of_each(scene, random.Random(f"{seed} leaving"))
        kafka.freeze()
        try:
            await asyncio.sleep(_LEFT_AFTER_S)
            exits = await leave(scene.crew, leaving)
            for name in leaving:
                await scene.crew.start(scene.crew.workers[name])
            await asyncio.sleep(FROZEN_S - _LEFT_AFTER_S)
        finally:
            kafka.thaw()
        frozen = await caught_up(scene, log, "Kafka was frozen")
        await asyncio.to_thread(kafka.kill)
        say("Kafka is killed")
        await asyncio.sleep(DEAD_S)
        await asyncio.to_thread(kafka.start)
        dead = await caught_up(scene, log, "Kafka was killed")
        return [told("behind in the calm (s)", usual_s), *exits, frozen, dead]

    return disturb


def behind_s(scene: Scene, log: KafkaLog) -> float:
    """Return how far the most backward channel's settled moments are behind its stream."""
    return max(
        channel.now_s - log.settled_s[stable_id("live", channel.url)] for channel in scene.channels
    )


async def caught_up(scene: Scene, log: KafkaLog, why: str) -> Count:
    """Wait until no channel is far behind; return how long that took."""
    began_s = time.monotonic()
    async with asyncio.timeout(_LIMIT_S):
        await until(lambda: behind_s(scene, log) < BEHIND_MAX_S)
    took_s = time.monotonic() - began_s
    say(f"{why}: less than {BEHIND_MAX_S:.0f} s behind after {took_s:.0f} s")
    return Count(
        f"{why}: < {BEHIND_MAX_S:.0f} s behind again after (s)",
        took_s,
        f"<= {CAUGHT_UP_S:.0f}",
        took_s <= CAUGHT_UP_S,
    )


def postgres_restarts(downs_s: Sequence[float]) -> Disturb:
    """End the database and start it again, in good order and by a crash in turn."""

    async def disturb(scene: Scene) -> list[Count]:
        database = scene.stand.database
        assert database is not None
        counts = []
        for number, down_s in enumerate(downs_s):
            how = (signal.SIGINT, signal.SIGQUIT)[number % 2]
            await asyncio.sleep(_CALM_S / 2)
            await asyncio.to_thread(database.stop, how)
            await asyncio.sleep(down_s)
            await asyncio.to_thread(database.start)
            leases_s, rows_s = await asyncio.gather(
                _took(_leases_live(scene)), _took(_rows_live(scene))
            )
            name = f"PostgreSQL away for {down_s:.0f} s ({how.name})"
            say(f"{name}: leases after {leases_s:.1f} s, rows after {rows_s:.1f} s")
            counts += [
                Count(f"{name}: {what} again after (s)", took_s, "<= 30", took_s <= RESUMED_S)
                for what, took_s in (("leases", leases_s), ("rows", rows_s))
            ]
        return counts

    return disturb


async def _took(work: Awaitable[None]) -> float:
    began_s = time.monotonic()
    async with asyncio.timeout(_LIMIT_S):
        await work
    return time.monotonic() - began_s


async def _leases_live(scene: Scene) -> None:
    """Wait until every channel's lease has been renewed or won since now."""
    await scene.watch.once()
    keys = [("ingest", stable_id("live", channel.url)) for channel in scene.channels]
    before = {key: scene.watch.now[key].until_s for key in keys}
    await until(lambda: all(scene.watch.now[key].until_s > before[key] for key in keys))


async def _rows_live(scene: Scene) -> None:
    """Wait until what is published now stands in the rows."""
    since_s = time.time()
    async with scene.stand.state() as state:
        while True:
            try:
                found = await list_sessions(state, scene.stand.settings.tenant_id)
            except StoreError:
                found = []
            if found and all(session.heard_at_s > since_s for session in found):
                return
            await asyncio.sleep(0.2)


def met(faults: Counter[str]) -> list[Count]:
    """Return which faults requests have met."""
    whole = sum(faults.values())
    spoiled = [told(f"  of them met: {name}", n) for name, n in sorted(faults.items()) if name]
    return [told("requests to the bucket", whole), *spoiled]


def calm(seconds: float, more: Callable[[], list[Count]] = list) -> Disturb:
    """Let the fleet work for so long; `more` is told at the end."""

    async def disturb(scene: Scene) -> list[Count]:
        await asyncio.sleep(seconds)
        return more()

    return disturb


def _one_of_each(scene: Scene, chance: random.Random) -> list[str]:
    by_role: dict[str, list[str]] = {}
    for worker in scene.crew.workers.values():
        by_role.setdefault(worker.role, []).append(worker.name)
    return [chance.choice(sorted(names)) for names in by_role.values()]
