"""`clipthat demo`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rich.console import Console

from ops.commands.live import live_watch
from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.commands.report import report, view_for
from ops.demo.chat import ChatServer
from ops.demo.origin import LiveOrigin
from ops.demo.script import chat
from ops.demo.stream import DemoStream, make_stream
from ops.errors import OpsError
from ops.logs import configure_logs
from ops.oneshot import Ran, run_session
from ops.settings import Settings

COOLDOWN_S = 20.0
AFTERGLOW_S = 4.0
"""The watch goes on a little longer than the stream, to hear its last segment."""


def demo_command(out: Path, serve: bool, options: Options) -> int:
    """Make a stream, watch it and hand over its clips; 1 when something is missing."""
    console = Console()
    began_s = time.monotonic()
    folder = out / time.strftime("clips-%Y%m%d-%H%M%S")
    try:
        settings = loaded(options).settings
        configure_logs(replace(settings.log, level="ERROR"))
        with console.status("making a stream: a game, a streamer, a voice, music …"):
            stream = make_stream(out / "stream")
        console.print(
            f"a live stream of {stream.duration_s:.0f} s now runs on this machine, with chat; "
            "ClipThat watches it\n(its script stands in for a speech recogniser: the captions "
            "take their words from there)",
            highlight=False,
        )
        ran = asyncio.run(_watch(_for_demo(settings), stream, folder, options))
    except OpsError as error:
        complain(str(error))
        return FAILED
    code = report(ran, folder, time.monotonic() - began_s, options)
    if serve and code == OK:
        _serve(folder, console)
    return code


def _for_demo(settings: Settings) -> Settings:
    """Settings for a stream on loopback, which fetching refuses otherwise, and in which more
    happens in two minutes than elsewhere in an hour.
    """
    live = replace(settings.clipper.live, cooldown_s=COOLDOWN_S)
    return replace(
        settings,
        fetch=replace(settings.fetch, allow_private=True),
        clipper=replace(settings.clipper, live=live),
    )


async def _watch(settings: Settings, stream: DemoStream, folder: Path, options: Options) -> Ran:
    async with LiveOrigin(stream.loop()) as origin, ChatServer() as server:
        assert origin.stream is not None
        start_s = origin.stream.began_s
        rest_s = start_s + stream.duration_s + AFTERGLOW_S - time.time()
        async with _talking(server, start_s):
            return await run_session(
                settings,
                folder,
                lambda parts, stop: live_watch(
                    settings,
                    parts,
                    stop,
                    origin.live_url,
                    server.address,
                    for_s=rest_s,
                    title="ClipThat demo stream",
                    words=stream.words,
                ),
                view_for(options),
                gentle_stop=True,
            )


@contextlib.asynccontextmanager
async def _talking(server: ChatServer, start_s: float) -> AsyncIterator[None]:
    talking = asyncio.create_task(server.play(chat(), start_s), name="demo-chat")
    try:
        yield
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


def _serve(folder: Path, console: Console) -> None:
    """Show the folder's page on loopback until Ctrl-C."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        console.print(f"page   http://127.0.0.1:{server.server_address[1]}/  (Ctrl-C ends)")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
