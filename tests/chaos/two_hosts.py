"""`make two-hosts`: the roles on two hosts that share a wire and nothing else; the wire is cut.

On host one: Kafka, PostgreSQL, the bucket, control, the live origin and its chat. On host two:
ingest, detect, clip and render. The wire is cut twice: the first time nobody helps, and host two
finds its way back; the second time an ingester and a renderer on host one take over.

Law: nobody is killed or started again; what is found at the end the same processes have done.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bus.codec import encode
from bus.events import MomentDetected, RenderFailed, RenderFinished, RenderQueued
from store.control_client import ControlLeases
from store.leases import Kind, Lease, LeaseLost
from tests.chaos.__main__ import show
from tests.chaos.apart import Apart, apart, id_of
from tests.chaos.checks import Count, told, zero
from tests.chaos.leases import Row, until
from tests.chaos.run import check_all, finish, leave, say
from tests.chaos.storm import PLAYLIST_WINDOW_S
from tests.chaos.wire import NoNamespaces, Wire, two_hosts, wire_of
from tests.paths import REPOSITORY

NO_HOSTS = 3
"""Exit code: this machine lets nobody make network namespaces; standard error says why."""
BACK_S = 60.0
_LIMIT_S = 300.0
_LOOK_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """How long and how strictly."""

    cut_s: float = 30.0
    """How long the wire is cut, each time at least."""
    channels: int = 2
    timed: bool = True
    """Hold times against their limits; on a machine of unknown speed they are told only."""
    clips_first: bool = True
    """Wait for a finished clip before the first cut, and for a render in hand before the second."""
    settings: Mapping[str, object] = field(
        default_factory=lambda: {"render.preset": "medium", "render.vertical_width_px": 360}
    )
    """What the workers are told; renders that take a while are in hand when the wire is cut."""


SHORT = Scene(
    cut_s=6.0,
    channels=1,
    timed=False,
    clips_first=False,
    settings={
        "leases.ingest_s": 6.0,
        "leases.ingest_beat_s": 1.5,
        "leases.render_s": 8.0,
        "leases.render_beat_s": 2.0,
    },
)
"""The same with short cuts and short leases."""


@dataclass
class Cut:
    """One time without the wire, and what followed."""

    lasted_s: float = 0.0
    missed_s: float = 0.0
    """Media that is told to be missing because of it."""
    back_s: float = 0.0
    """From the healing until all that had been on air by then was looked for moments."""
    channels_s: float = 0.0
    """From the cut until the last channel was taken over."""
    renders_s: float = 0.0
    """From the cut until the last render was taken over, by a renderer that makes one at a time."""
    held: list[Row] = field(default_factory=list)
    """What host two held when it was cut off, and lost."""


async def play(scene: Scene, wire: Wire, folder: Path, seed: int) -> list[Count]:
    """Play a scene on host one; return what it has come to."""
    async with apart(
        wire, folder, channels=scene.channels, seed=seed, settings=scene.settings
    ) as there:
        await there.man()
        await _until(lambda: _all_settled(there))
        say(f"{scene.channels} channels are watched on host two")
        first = RenderFinished if scene.clips_first else MomentDetected
        await _until(lambda: any(isinstance(event, first) for event in there.log.events))
        alone = await _alone(there, scene)
        helped = await _helped(there, scene)
        accepted = await _accepted(there, helped.held)
        refused = await there.late_writers()
        undone = await finish(there.stand, there.channels)
        counts = [
            *_told_of(alone, helped, timed=scene.timed),
            told("late writers that control has refused", refused),
            zero("late writers that control has not refused", accepted),
            zero("processes that ended or were started again", _ended(there)),
            zero("sessions not done in time", undone),
            *await leave(there.two),
            *await leave(there.one),
        ]
        there.gather_receipts()
        counts += await check_all(there.stand, there.channels)
        there.log.keep(folder / "log.jsonl")
        found = {count.name: count.found for count in counts}
        (folder / "counts.json").write_text(json.dumps(found))
        return counts


async def _alone(there: Apart, scene: Scene) -> Cut:
    """Cut the wire, heal it, and wait until host two is back."""
    cut, at_s = Cut(), time.monotonic()
    there.wire.cut()
    say("the wire is cut")
    await asyncio.sleep(scene.cut_s)
    await _heal(there, cut, at_s)
    cut.missed_s = there.missed_s()
    return cut


async def _helped(there: Apart, scene: Scene) -> Cut:
    """Cut the wire, let host one take over all that host two has in hand, and heal it."""
    await _until(lambda: _watched(there) and (not scene.clips_first or _renders(there)))
    before_s = there.missed_s()
    told_s = {id_of(each): there.log.told_s[id_of(each)] for each in there.channels}
    cut, at_s = Cut(), time.monotonic()
    there.wire.cut()
    # Whatever is not in the rows by now will not get there.
    await there.watch.once()
    cut.held = _held(there)
    say(f"the wire is cut; host two holds {', '.join(row.kind for row in cut.held)}")
    await there.help_out()
    await _until(lambda: all(_taken(there, row) for row in cut.held if row.kind == "ingest"))
    cut.channels_s = time.monotonic() - at_s
    say(f"host one has taken the channels over after {cut.channels_s:.1f} s")
    await _until(lambda: all(there.log.told_s[each] > at for each, at in told_s.items()))
    await _until(lambda: all(_taken(there, row) for row in cut.held))
    if any(row.kind == "render" for row in cut.held):
        cut.renders_s = time.monotonic() - at_s
        say(f"and the render after {cut.renders_s:.1f} s")
    await asyncio.sleep(max(0.0, scene.cut_s - (time.monotonic() - at_s)))
    await _heal(there, cut, at_s)
    cut.missed_s = there.missed_s() - before_s
    return cut


async def _heal(there: Apart, cut: Cut, at_s: float) -> None:
    """Heal the wire and wait until host two has caught up with all that was on air until then."""
    on_air_s = {id_of(each): there.listed_s(each) for each in there.channels}
    there.wire.heal()
    healed_s = time.monotonic()
    cut.lasted_s = healed_s - at_s
    say("the wire is healed")
    await _until(lambda: all(there.log.settled_s[each] >= at for each, at in on_air_s.items()))
    cut.back_s = time.monotonic() - healed_s
    say(f"host two has caught up after {cut.back_s:.1f} s")


def _all_settled(there: Apart) -> bool:
    return all(there.log.settled_s[id_of(each)] > 0 for each in there.channels)


def _held(there: Apart) -> list[Row]:
    rows = there.watch.now.values()
    return [row for row in rows if row.state == "open" and row.owner.startswith("two:")]


def _watched(there: Apart) -> bool:
    """Whether host two holds every channel."""
    held = {row.id for row in _held(there)}
    return all(id_of(each) in held for each in there.channels)


def _renders(there: Apart) -> bool:
    return any(row.kind == "render" for row in _held(there))


def _taken(there: Apart, row: Row) -> bool:
    return there.watch.now[row.kind, row.id].token > row.token


async def _accepted(there: Apart, held: Sequence[Row]) -> list[str]:
    """Hand a result in under each old token; return what was not refused."""
    wrong = []
    for row in held:
        async with ControlLeases.open(
            there.stand.settings.control, worker=row.owner, kinds=("ingest", "render")
        ) as old:
            try:
                await old.complete(_lease(there, row), _result(there, row))
            except LeaseLost:
                continue
        wrong.append(f"{row.kind} {row.id}, token {row.token}")
    return wrong


def _lease(there: Apart, row: Row) -> Lease:
    kind: Kind = "ingest" if row.kind == "ingest" else "render"
    tenant_id = there.stand.settings.tenant_id
    return Lease(kind=kind, id=row.id, token=row.token, good_for_s=0.0, tenant_id=tenant_id)


def _result(there: Apart, row: Row) -> dict[str, Any]:
    """Return what a worker would hand in that has not heard of losing its lease."""
    if row.kind == "ingest":
        return {}
    asked = (each for each in there.log.events if isinstance(each, RenderQueued))
    queued = next(each for each in asked if each.render_id == row.id)
    told = {name: getattr(queued, name) for name in ("tenant_id", "channel_id", "session_id")}
    failed = RenderFailed(
        **told,
        render_id=row.id,
        clip_id=queued.clip_id,
        layout=queued.layout,
        reason="broken",
        detail="handed in late",
    )
    result: dict[str, Any] = orjson.loads(encode(failed))
    return result


def _ended(there: Apart) -> list[str]:
    workers = [*there.one.workers.values(), *there.two.workers.values()]
    return [
        *(f"{name}: {code}" for name, code in [*there.one.unasked, *there.two.unasked]),
        *(worker.name for worker in workers if worker.starts != 1),
    ]


def _told_of(alone: Cut, helped: Cut, *, timed: bool) -> list[Count]:
    def limited(name: str, found: float, limit: float) -> Count:
        wanted = f"<= {limit:.0f}" if timed else ""
        return Count(name, found, wanted, not timed or found <= limit)

    return [
        told("without help: wire cut (s)", alone.lasted_s),
        told("without help: media missed (s, told gaps)", alone.missed_s),
        limited("without help: host two had caught up after (s)", alone.back_s, BACK_S),
        told("with help: wire cut (s)", helped.lasted_s),
        told("with help: leases in host two's hand", len(helped.held)),
        limited("with help: channels taken over after (s)", helped.channels_s, PLAYLIST_WINDOW_S),
        told("with help: renders in hand", sum(row.kind == "render" for row in helped.held)),
        told("with help: renders taken over after (s)", helped.renders_s),
        limited("with help: media missed (s, told gaps)", helped.missed_s, 0.0),
        limited("with help: host two had caught up after (s)", helped.back_s, BACK_S),
    ]


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        await until(is_so)


# --- the process that makes the hosts, and the one on host one that plays -------------------------


def main() -> int:
    """Play; 1 when a count is not as it must be, 3 where no hosts can be made."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.two_hosts", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="short cuts, short leases, one channel"
    )
    parser.add_argument("--seed", type=int, default=None, help="default: a new one each time")
    parser.add_argument("--keep", type=Path, help="folder for logs and data; default: a temporary")
    parser.add_argument("--on", type=int, metavar="PID", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.on is not None:
        # A client that was cut off in the midst of an answer is what is played here.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        scene = SHORT if asked.short else Scene()
        counts = asyncio.run(play(scene, wire_of(asked.on), asked.keep, asked.seed))
        return 0 if show(f"two hosts, seed {asked.seed}", counts) else 1
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    try:
        with _folder(asked.keep) as folder, two_hosts() as wire, _stopped_gently():
            again = ["--on", str(os.getpid()), "--seed", str(seed), "--keep", str(folder)]
            more = ["--short"] if asked.short else []
            command = [*wire.one.enter, sys.executable, "-m", "tests.chaos.two_hosts"]
            return subprocess.run([*command, *again, *more], cwd=REPOSITORY, check=False).returncode
    except NoNamespaces as error:
        print(error, file=sys.stderr)
        return NO_HOSTS


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="clipthat-hosts-") as name:
        yield Path(name)


@contextlib.contextmanager
def _stopped_gently() -> Iterator[None]:
    """Turn SIGTERM into an exit that lets the hosts be removed."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
