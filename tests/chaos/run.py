"""One run from the first start to the last check, with a disturbance in between.

Law: the checks look at what is left after every worker has left in good order; nothing is repaired
in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bus.events import stable_id
from store.errors import StoreError
from store.state.queries import list_sessions
from store.state.state import State
from tests.chaos.checks import Count, check_log, told, zero
from tests.chaos.fleet import Fleet, fleet
from tests.chaos.leases import LeaseWatch, until, watching
from tests.chaos.stand import Stand
from tests.chaos.things import check_objects, check_rows
from tests.chaos.undisturbed import check_undisturbed
from tests.chaos.witness import receipts, stored
from tests.chaos.world import Channel, Clock, configuration, on_air, write_chat

CREW: Mapping[str, int] = {"control": 1, "ingest": 2, "detect": 2, "clip": 2, "render": 2}
"""How many processes of each role there are."""

EXIT_S = 15.0
_READY_S = 300.0
_DONE_S = 600.0
_CHAT_S = 7200.0


def say(text: str) -> None:
    """Tell whoever waits how far a run is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A fleet at work, before anything has happened to it."""

    stand: Stand
    crew: Fleet
    watch: LeaseWatch
    channels: Sequence[Channel]


Disturb = Callable[[Scene], Awaitable[list[Count]]]
"""Does something to the fleet or to what it stands on, and returns what is to be told of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How large a run is."""

    seed: int
    channels: int = 4
    crew: Mapping[str, int] = field(default_factory=lambda: dict(CREW))
    make_clock: Callable[[], Clock] = Clock
    """Makes the time of each channel."""


async def run(stand: Stand, shape: Shape, disturb: Disturb) -> list[Count]:
    """Set a fleet to work, disturb it, let it end, and count."""
    names = [f"channel-{n}" for n in range(1, shape.channels + 1)]
    async with (
        on_air(stand.folder, names, shape.seed, shape.make_clock) as channels,
        fleet(stand.folder, stand.environment) as crew,
        watching(stand.look) as watch,
    ):
        await man(stand, crew, channels, shape)
        await until_watched(crew, watch, channels)
        say(f"{shape.channels} channels are watched")
        scene = Scene(stand=stand, crew=crew, watch=watch, channels=channels)
        counts = await disturb(scene)
        late = await finish(stand, channels)
        exits = await leave(crew)
        return [
            *counts,
            zero("workers that ended unasked", [f"{n}: {c}" for n, c in crew.unasked]),
            zero("sessions not done in time", late),
            *exits,
            *await check_all(stand, channels),
        ]


async def man(stand: Stand, crew: Fleet, channels: Sequence[Channel], shape: Shape) -> None:
    """Start everybody."""
    config = stand.folder / "clipthat.toml"
    config.write_text(configuration(channels))
    for channel in channels:
        write_chat(channel, _CHAT_S, shape.seed)
    for role, count in shape.crew.items():
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


async def finish(stand: Stand, channels: Sequence[Channel]) -> list[str]:
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


async def leave(crew: Fleet, names: Sequence[str] = ()) -> list[Count]:
    """Tell everybody, or those named, to leave; return how that went."""

    async def one(name: str) -> tuple[str, float]:
        worker = crew.workers[name]
        try:
            took_s = await crew.stop(worker, EXIT_S)
        except TimeoutError:
            return f"{name}: not in {EXIT_S:.0f} s", EXIT_S
        return ("" if worker.code == 0 else f"{name}: exit code {worker.code}"), took_s

    there = [name for name in names or crew.workers if crew.workers[name].pid]
    async with asyncio.timeout(_READY_S):
        await until(lambda: all(crew.is_up(crew.workers[name]) for name in there))
    ends = await asyncio.gather(*(one(name) for name in there))
    wrong = [why for why, _ in ends if why]
    when = "in the outage " if names else ""
    return [
        zero(f"workers that did not leave well at SIGTERM {when}".rstrip(), wrong),
        told(
            f"longest leave at SIGTERM {when}(s)", max((took_s for _, took_s in ends), default=0.0)
        ),
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


def folder_for(base: Path, name: str) -> Path:
    """Return an empty folder for a run."""
    folder = base / name
    folder.mkdir(parents=True)
    return folder
