"""`make chaos`: kill storms and outages, and a table of what they have come to."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from tests.chaos.checks import Count
from tests.chaos.outages import calm, kafka_outages, met, postgres_restarts
from tests.chaos.preempted import LEASES, PreemptionSettings, run_preempted
from tests.chaos.run import Shape, folder_for, run
from tests.chaos.stand import On, cluster, faulty, local, opener, stores
from tests.chaos.storm import StormSettings, storm

BUCKET_S = 150.0
FAULTS = 0.1

Scenario = Callable[[Path, argparse.Namespace], Awaitable[list[Count]]]


async def storm_local(folder: Path, asked: argparse.Namespace) -> list[Count]:
    """Random SIGKILLs over all roles, on the local bus and SQLite."""
    return await _storm("local", folder, asked)


async def storm_stores(folder: Path, asked: argparse.Namespace) -> list[Count]:
    """The same with PostgreSQL and a bucket."""
    return await _storm("stores", folder, asked)


async def storm_cluster(folder: Path, asked: argparse.Namespace) -> list[Count]:
    """The same on Kafka, PostgreSQL and a bucket; workers share no folder."""
    return await _storm("cluster", folder, asked)


async def kafka(folder: Path, asked: argparse.Namespace) -> list[Count]:
    """Kafka frozen for a minute, then killed."""
    async with cluster(folder, {}) as stand:
        return await run(stand, _shape(asked), kafka_outages(asked.seed))


async def postgres(folder: Path, asked: argparse.Namespace) -> list[Count]:
    """PostgreSQL restarted."""
    async with stores(folder, {}) as stand:
        return await run(stand, _shape(asked), postgres_restarts((3.0, 3.0, 10.0)))


async def bucket(folder: Path, asked: argparse.Namespace) -> list[Count]:
    """A bucket where one request in ten fails, stalls or is cut off."""
    async with faulty(folder, {}, rate=FAULTS, seed=asked.seed) as (stand, double):
        return await run(stand, _shape(asked), calm(BUCKET_S, lambda: met(double.met)))


async def preempted(folder: Path, asked: argparse.Namespace) -> list[Count]:
    """A hundred renders whose workers are killed, told to go or frozen."""
    async with local(folder, LEASES) as stand:
        settings = PreemptionSettings(renders=asked.renders, seed=asked.seed)
        return await run_preempted(stand, settings)


SCENARIOS: dict[str, Scenario] = {
    "storm-local": storm_local,
    "storm-stores": storm_stores,
    "storm-cluster": storm_cluster,
    "kafka": kafka,
    "postgres": postgres,
    "bucket": bucket,
    "preempted": preempted,
}
USUAL = ("storm-local", "storm-cluster", "kafka", "postgres", "bucket", "preempted")
ON: dict[str, str] = {"local": "storm-local", "stores": "storm-stores", "cluster": "storm-cluster"}


async def _storm(on: On, folder: Path, asked: argparse.Namespace) -> list[Count]:
    settings = StormSettings(
        kills=asked.kills, seed=asked.seed, every_s=(asked.every * 0.2, asked.every * 1.8)
    )
    async with opener(on)(folder, {}) as stand:
        return await run(stand, _shape(asked), storm(settings))


def _shape(asked: argparse.Namespace) -> Shape:
    return Shape(seed=asked.seed, channels=asked.channels)


def main() -> int:
    """Run what is asked for; 1 when a count is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: most")
    parser.add_argument("--on", choices=ON, help="the storm there only")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--renders", type=int, default=100)
    parser.add_argument("--seed", type=int, help="default: a new one each time")
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--every", type=float, default=1.2, help="mean seconds between kills")
    parser.add_argument("--keep", type=Path, help="folder for logs and data; default: a temporary")
    asked = parser.parse_args()
    if unknown := set(asked.scenario) - set(SCENARIOS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    names = [ON[asked.on]] if asked.on else asked.scenario or USUAL
    if asked.seed is None:
        asked.seed = secrets.randbelow(1_000_000)
    with tempfile.TemporaryDirectory(prefix="clipthat-chaos-") as name:
        base = asked.keep or Path(name)
        outcomes = [_one(each, base, asked) for each in names]
    return 0 if all(outcomes) else 1


def _one(name: str, base: Path, asked: argparse.Namespace) -> bool:
    what = (SCENARIOS[name].__doc__ or "").splitlines()[0]
    print(f"\n{name}: {what} Seed {asked.seed}.", flush=True)
    counts = asyncio.run(SCENARIOS[name](folder_for(base, name), asked))  # type: ignore[arg-type]
    return show(f"{name}, seed {asked.seed}", counts)


def show(title: str, counts: Sequence[Count]) -> bool:
    """Print a table; return whether everything is as it must be."""
    print(f"\n{title}")
    for count in counts:
        mark = "  " if not count.wanted else ("ok" if count.ok else "NO")
        number = f"{count.found:.1f}" if isinstance(count.found, float) else f"{count.found:d}"
        print(f"  {mark}  {count.name:<58} {number:>10}  {count.wanted}")
        for each in count.which:
            print(f"        {each}")
    print(flush=True)
    return all(count.ok for count in counts)


if __name__ == "__main__":
    sys.exit(main())
