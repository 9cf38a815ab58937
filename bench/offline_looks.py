"""What waiting for many channels costs: CPU of their looks, and how seldom a channel is looked at.

The whole watch list is run against Twitch's doubles in another process, which answer slowly. A
channel is seen within the longest time between two of its looks, plus an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

WARM_S = 30.0
"""Looks in the first so many seconds are not counted: all channels begin at once."""


def serve(told: Connection, channels: int, answer_s: float) -> None:
    """Stand in for Twitch until told to end; then tell when each channel was looked at."""
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from tests.doubles.twitch.playlists import TwitchPlaylists
    from tests.doubles.twitch.server import serving

    twitch = TwitchPlaylists(time.time, ())
    for number in range(channels):
        twitch.channel(f"channel{number}")

    class Slow:
        def attach(self, app: web.Application) -> None:
            @web.middleware
            async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
                await asyncio.sleep(answer_s)
                return await handler(request)

            app.middlewares.append(slow)

    async def run() -> None:
        async with serving(twitch, Slow()) as url:
            told.send(url)
            await asyncio.to_thread(told.recv)
            told.send((twitch.looked, twitch.violations))

    asyncio.run(run())


async def watch(url: str, channels: int, seconds: float, folder: Path) -> float:
    """Run a watch list of so many channels for a while; return the CPU it took after warming up."""
    from bus.local import LocalBus
    from bus.stage import Ctx
    from ingest.hls_live import HlsLive
    from ingest.settings import IngestSettings
    from ingest.twitch.resolver import TwitchResolver
    from ingest.watch import Watch, WatchTarget
    from ops.supervisor import SupervisorSettings
    from ops.watchlist import WatchlistStage, read_place
    from store.fetch import Fetcher
    from store.obstore_objects import open_objects
    from store.settings import FetchSettings
    from store.state.state import State
    from store.state.watchlist import Place, Watchlist
    from store.twitch.settings import TwitchSettings

    settings, ingest = TwitchSettings(gql_url=f"{url}/gql", usher_url=url), IngestSettings()
    objects = open_objects("memory://")
    async with (
        State.open(f"sqlite:///{folder}/state.db") as state,
        LocalBus.open(folder / "bus.db") as bus,
        Fetcher(FetchSettings(allow_private=True)) as fetcher,
    ):
        resolver = TwitchResolver(settings, ingest, fetcher)

        async def make_watch(place: Place, stop: asyncio.Event) -> Watch:
            source = HlsLive(resolver.channel(place.name), fetcher, ingest)
            target = WatchTarget(tenant_id="local", channel_id=place.id)
            return Watch(target, source, None, objects, ingest, time.time, stop)

        watchlist = Watchlist(state)
        for number in range(channels):
            await watchlist.add(read_place(f"channel{number}"))
        ctx = Ctx(bus=bus)
        stage = WatchlistStage(watchlist, make_watch, SupervisorSettings())
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.run(ctx))
            await asyncio.sleep(WARM_S)
            before_s = cpu_s()
            await asyncio.sleep(seconds)
            spent_s = cpu_s() - before_s
            ctx.draining.set()
    return spent_s


def cpu_s() -> float:
    """Return the CPU time of this process, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and print one line for each number of channels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--answer", type=float, default=0.5, help="seconds that Twitch takes")
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    spawning = multiprocessing.get_context("spawn")
    for channels in args.channels:
        ours, theirs = spawning.Pipe()
        double = spawning.Process(target=serve, args=(theirs, channels, args.answer))
        double.start()
        url = ours.recv()
        began_s = time.time()
        with tempfile.TemporaryDirectory() as folder:
            spent_s = asyncio.run(watch(url, channels, args.seconds, Path(folder)))
        ours.send("end")
        looked, violations = ours.recv()
        double.join()
        assert not violations, violations
        looks: dict[str, list[float]] = defaultdict(list)
        for at_s, login in looked:
            if at_s >= began_s + WARM_S / 2:
                looks[login].append(at_s)
        gaps = [b - a for times in looks.values() for a, b in pairwise(times)]
        hours = channels * args.seconds / 3600
        print(
            f"{channels} channels, {len(looks)} looked at: every {median(gaps):.1f} s, at most"
            f" {max(gaps):.1f} s apart; {len(gaps) / (args.seconds + WARM_S / 2):.1f} looks/s;"
            f" {spent_s / hours:.1f} CPU s per channel-hour,"
            f" {1000 * spent_s * (args.seconds + WARM_S / 2) / args.seconds / len(gaps):.1f} ms"
            " a look",
            flush=True,
        )


if __name__ == "__main__":
    main()
