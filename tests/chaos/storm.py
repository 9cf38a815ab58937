"""A storm of SIGKILLs over all roles while channels are on air, and a quiet end.

Law: who dies and when follows from the seed; an ingester dies only while every channel has a
living watcher, so that each death is one that a deployment must survive without a gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bus.events import stable_id
from tests.chaos.checks import Count, told, zero
from tests.chaos.fleet import Worker
from tests.chaos.leases import until
from tests.chaos.run import Disturb, Scene, say

PLAYLIST_WINDOW_S = 30.0
LEASE_RECOVERED_S = 45.0
_LEFT_ALONE_S = 120.0
"""A lease that nobody has taken over for so long after the last death is told as lost."""
_TELL_EVERY = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class StormSettings:
    """How hard it blows."""

    kills: int = 1000
    seed: int = 1
    every_s: tuple[float, float] = (0.2, 2.2)
    """Between two kills; anything in between."""
    down_s: tuple[float, float] = (0.0, 1.0)
    """How long the killed worker's place stays empty."""
    timed: bool = True
    """Hold recoveries against their limits; on a machine of unknown speed they are told only."""
    media_s: float = 0.0
    """Each stream goes on for so long at the least."""


@dataclass
class Takeover:
    """A channel whose watcher was killed, until somebody fetches its segments again."""

    channel: str
    at_s: float
    took_s: float | None = None


class Storm:
    """Kills, and sees to it that what was killed is started again."""

    def __init__(self, scene: Scene, settings: StormSettings) -> None:
        self._fleet = scene.crew
        self._watch = scene.watch
        self._channels = {stable_id("live", channel.url): channel for channel in scene.channels}
        self._settings = settings
        self._chance = random.Random(f"{settings.seed} storm")
        self.takeovers: list[Takeover] = []
        self.killed: Counter[str] = Counter()
        self.load_max = 0.0
        """Of the last minute, for each core; far above one, times say more of it than of us."""

    async def blow(self) -> None:
        """Kill until all kills are done; returns when everybody has been started again."""
        low_s, high_s = self._settings.every_s
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._see_takeovers())
            waking: set[asyncio.Task[None]] = set()
            for kill in range(1, self._settings.kills + 1):
                await asyncio.sleep(self._chance.uniform(low_s, high_s))
                worker = await self._victim()
                await self._kill(worker)
                self.load_max = max(self.load_max, os.getloadavg()[0] / (os.cpu_count() or 1))
                if kill % _TELL_EVERY == 0:
                    say(f"{kill} kills")
                pause_s = self._chance.uniform(*self._settings.down_s)
                task = group.create_task(self._wake(worker, pause_s))
                waking.add(task)
                task.add_done_callback(waking.discard)
            if waking:
                await asyncio.wait(waking)
            await until(
                lambda: all(c.now_s >= self._settings.media_s for c in self._channels.values())
            )
            await until(lambda: all(each.took_s is not None for each in self.takeovers))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LEFT_ALONE_S):
                    await until(self._all_recovered)
            watching.cancel()

    def _all_recovered(self) -> bool:
        return all(orphan.recovered_s is not None for orphan in self._watch.orphans)

    async def _victim(self) -> Worker:
        """Choose among all places; one that is empty at this instant, or spared, is passed by."""
        workers = sorted(self._fleet.workers.values(), key=lambda worker: worker.name)
        while True:
            worker = self._chance.choice(workers)
            if worker.pid and (worker.role != "ingest" or self._all_watched()):
                return worker
            await asyncio.sleep(0.02)

    async def _kill(self, worker: Worker) -> None:
        await self._watch.once()
        death = await self._fleet.kill(worker)
        self.killed[worker.role] += 1
        for orphan in self._watch.died(death):
            if orphan.row.kind == "ingest" and orphan.row.id in self._channels:
                channel = self._channels[orphan.row.id]
                self.takeovers.append(Takeover(channel.name, death.at_s))

    async def _wake(self, worker: Worker, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        await self._fleet.start(worker)

    async def _see_takeovers(self) -> None:
        while True:
            for each in self.takeovers:
                if each.took_s is None:
                    channel = next(c for c in self._channels.values() if c.name == each.channel)
                    # A request that the dead one had sent may still be answered.
                    if channel.fetched_at_s > each.at_s + 1.0:
                        each.took_s = channel.fetched_at_s - each.at_s
            await asyncio.sleep(0.1)

    def _all_watched(self) -> bool:
        """Whether each channel is watched by a living worker that keeps up."""
        if any(each.took_s is None for each in self.takeovers):
            return False
        pids = {worker.pid for worker in self._fleet.workers.values() if worker.pid}
        for channel_id, channel in self._channels.items():
            row = self._watch.now.get(("ingest", channel_id))
            if row is None or not any(row.is_of(pid) for pid in pids):
                return False
            if time.time() - channel.fetched_at_s > 5.0 or channel.behind > 2:
                return False
        return True

    def note(self, path: Path) -> None:
        """Write down who died when, and when what they held was another's."""
        path.write_text(
            json.dumps(
                {
                    "deaths": [asdict(death) for death in self._fleet.deaths],
                    "takeovers": [asdict(each) for each in self.takeovers],
                    "leases": [asdict(each) for each in self._watch.orphans],
                }
            )
        )

    def told(self) -> list[Count]:
        """Return how many died, and how soon what they held was another's."""
        timed = self._settings.timed
        counts = [
            told("load of the machine, highest (processes per core)", self.load_max),
            told("SIGKILLs", len(self._fleet.deaths)),
        ]
        counts += [told(f"  of {role}", n) for role, n in sorted(self.killed.items())]
        takeovers = [each.took_s for each in self.takeovers if each.took_s is not None]
        counts.append(told("channels left by a dead ingester", len(self.takeovers)))
        counts += _spread("takeover, by the origin (s)", takeovers, PLAYLIST_WINDOW_S, timed=timed)
        for kind in ("ingest", "render"):
            orphans = [each for each in self._watch.orphans if each.row.kind == kind]
            took = [each.recovered_s for each in orphans if each.recovered_s is not None]
            never = [each.row.id for each in orphans if each.recovered_s is None]
            counts.append(told(f"{kind} leases left by the dead", len(orphans)))
            counts.append(zero(f"{kind} leases never recovered", never))
            counts += _spread(f"{kind} lease recovered (s)", took, LEASE_RECOVERED_S, timed=timed)
        return counts


def storm(settings: StormSettings) -> Disturb:
    """Return what blows a storm over a fleet."""

    async def disturb(scene: Scene) -> list[Count]:
        one = Storm(scene, settings)
        began_s = time.monotonic()
        try:
            await one.blow()
        finally:
            one.note(scene.stand.folder / "storm.json")
        say(f"{len(scene.crew.deaths)} kills in {time.monotonic() - began_s:.0f} s")
        return one.told()

    return disturb


def _spread(name: str, took: Sequence[float], limit_s: float, *, timed: bool) -> list[Count]:
    if not took:
        return []
    most = told(f"{name}, longest", max(took))
    if timed:
        most = Count(f"{name}, longest", max(took), f"<= {limit_s:.0f}", max(took) <= limit_s)
    return [told(f"{name}, median", statistics.median(took)), most]
