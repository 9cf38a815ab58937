"""One storm from the first start to the last check.

Law: the checks look at what is left after every worker has left in good order; nothing is repaired
in between.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bus.events import stable_id
from store.errors import StoreError
from store.state.queries import list_sessions
from store.state.state import State
from tests.chaos.checks import Count, check_log, told, zero
from tests.chaos.fleet import Fleet, fleet
from tests.chaos.leases import LeaseWatch, until, watching
from tests.chaos.stand import Stand
from tests.chaos.storm import Storm, StormSettings
from tests.chaos.things import check_objects, check_rows
from tests.chaos.undisturbed import check_undisturbed
from tests.chaos.witness import receipts, stored
from tests.chaos.world import Channel, Clock, configuration, on_air, write_chat

PLAYLIST_WINDOW_S = 30.0
LEASE_RECOVERED_S = 45.0
EXIT_S = 15.0
_READY_S = 180.0
_DONE_S = 600.0
_CHAT_S = 7200.0


def say(text: str) -> None:
    """Tell whoever waits how far a run is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


async def run_storm(
    stand: Stand,
    storm_settings: StormSettings,
    *,
    channels: int,
    timed: bool = True,
    make_clock: Callable[[], Clock] = Clock,
) -> list[Count]:
    """Blow a storm and return what it has come to.

    Args:
        stand: what the fleet stands on.
        storm_settings: how hard it blows.
        channels: how many are on air.
        timed: hold recoveries against their limits; on a machine of unknown speed they are told
            only.
        make_clock: makes the time of each channel.
    """
    names = [f"channel-{n}" for n in range(1, channels + 1)]
    seed = storm_settings.seed
    async with (
        on_air(stand.folder, names, seed, make_clock) as on_the_air,
        fleet(stand.folder, stand.environment) as crew,
        watching(stand.look) as watch,
    ):
        await man(stand, crew, on_the_air, seed, storm_settings)
        await until_watched(crew, watch, on_the_air)
        say(f"{channels} channels are watched")
        storm = Storm(crew, watch, on_the_air, storm_settings)
        began_s = time.monotonic()
        await storm.blow()
        say(f"{len(crew.deaths)} kills in {time.monotonic() - began_s:.0f} s")
        late = await finish(stand, crew, on_the_air)
        exits = await leave(crew)
        return [
            *_told_of(storm, crew, watch, timed=timed),
            zero("workers that ended unasked", [f"{n}: {c}" for n, c in crew.unasked]),
            zero("sessions not done in time", late),
            *exits,
            *await check_all(stand, on_the_air),
        ]


async def man(
    stand: Stand, crew: Fleet, channels: Sequence[Channel], seed: int, settings: StormSettings
) -> None:
    """Start everybody."""
    config = stand.folder / "clipthat.toml"
    config.write_text(configuration(channels))
    for channel in channels:
        write_chat(channel, _CHAT_S, seed)
    for role, count in settings.crew.items():
        for n in range(1, count + 1):
            more = ("--config", str(config)) if role == "control" else ("--set", "web.port=0")
            name = f"{role}-{n}"
            await crew.start(crew.add(name, role, *more, *stand.folder_of(name)))


async def until_watched(crew: Fleet, watch: LeaseWatch, channels: Sequence[Channel]) -> None:
    """Wait until each channel is leased and being fetched.

    Raises:
        RuntimeError: a worker has ended instead.
    """

    def so_far() -> bool:
        watched = all(_is_watched(watch, channel) for channel in channels)
        return watched or bool(crew.unasked)

    async with asyncio.timeout(_READY_S):
        await until(so_far)
    if crew.unasked:
        raise RuntimeError(f"workers ended at their start: {crew.unasked}")


def _is_watched(watch: LeaseWatch, channel: Channel) -> bool:
    return ("ingest", stable_id("live", channel.url)) in watch.now and bool(channel.asked)


async def finish(stand: Stand, crew: Fleet, channels: Sequence[Channel]) -> list[str]:
    """End the streams and wait until everything is done; return the sessions that are not."""
    for channel in channels:
        channel.over = True
    began_s = time.monotonic()
    open_ones = ["none has begun"]
    async with stand.state() as state:
        while open_ones and time.monotonic() - began_s < _DONE_S:
            await asyncio.sleep(0.5)
            open_ones = await _open_sessions(state, stand, channels)
    say(f"all done {time.monotonic() - began_s:.0f} s after the end")
    return open_ones


async def _open_sessions(state: State, stand: Stand, channels: Sequence[Channel]) -> list[str]:
    try:
        found = await list_sessions(state, stand.settings.tenant_id, limit=10_000)
    except StoreError as error:
        return [str(error)]
    known = {session.channel_id for session in found}
    unseen = [each.name for each in channels if stable_id("live", each.url) not in known]
    return unseen + [session.id for session in found if not session.done]


async def leave(crew: Fleet) -> list[Count]:
    """Tell everybody to leave; return how that went."""
    workers = list(crew.workers.values())

    async def one(name: str) -> tuple[str, float]:
        worker = crew.workers[name]
        try:
            took_s = await crew.stop(worker, EXIT_S)
        except TimeoutError:
            return f"{name}: not in {EXIT_S:.0f} s", EXIT_S
        return ("" if worker.code == 0 else f"{name}: exit code {worker.code}"), took_s

    ends = await asyncio.gather(*(one(worker.name) for worker in workers if worker.pid))
    return [
        zero("workers that did not leave well at SIGTERM", [wrong for wrong, _ in ends if wrong]),
        told("longest leave at SIGTERM (s)", max((took_s for _, took_s in ends), default=0.0)),
    ]


async def check_all(stand: Stand, channels: Sequence[Channel]) -> list[Count]:
    """Hold log, rows, objects and receipts against each other."""
    say("checking")
    truth = await stand.read_truth()
    settings = stand.settings
    by_id = {stable_id("live", channel.url): channel for channel in channels}
    async with stand.state() as state:
        rows = await check_rows(truth, state, settings.tenant_id)
    return [
        *check_log(truth, settings, receipts(stand.folder)),
        *await check_undisturbed(truth, by_id, settings),
        *await check_objects(truth, stand.objects(), stored(stand.folder)),
        *rows,
    ]


def _told_of(storm: Storm, crew: Fleet, watch: LeaseWatch, *, timed: bool) -> list[Count]:
    counts = [told("SIGKILLs", len(crew.deaths))]
    counts += [told(f"  of {role}", n) for role, n in sorted(storm.killed.items())]
    takeovers = [each.took_s for each in storm.takeovers if each.took_s is not None]
    counts.append(told("channels left by a dead ingester", len(storm.takeovers)))
    counts += _spread("takeover, by the origin (s)", takeovers, PLAYLIST_WINDOW_S, timed=timed)
    for kind in ("ingest", "render"):
        orphans = [each for each in watch.orphans if each.row.kind == kind]
        took = [each.recovered_s for each in orphans if each.recovered_s is not None]
        counts.append(told(f"{kind} leases left by the dead", len(orphans)))
        counts.append(
            zero(
                f"{kind} leases never recovered",
                [each.row.id for each in orphans if each.recovered_s is None],
            )
        )
        counts += _spread(f"{kind} lease recovered (s)", took, LEASE_RECOVERED_S, timed=timed)
    return counts


def _spread(name: str, took: Sequence[float], limit_s: float, *, timed: bool) -> list[Count]:
    if not took:
        return []
    most = Count(f"{name}, longest", max(took), "", ok=True)
    if timed:
        most = Count(f"{name}, longest", max(took), f"<= {limit_s:.0f}", max(took) <= limit_s)
    return [told(f"{name}, median", statistics.median(took)), most]


def folder_for(base: Path, name: str) -> Path:
    """Return an empty folder for a run."""
    folder = base / name
    folder.mkdir(parents=True)
    return folder
