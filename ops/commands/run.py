"""`clipthat run`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from bus.stage import Ctx, Stage
from ingest.watch import Watch
from ops.bootstrap import Parts, open_parts, pipeline, web_stage
from ops.channels import KeepWatching
from ops.commands.live import chat_address, live_watch
from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.commands.vod import is_address
from ops.errors import OpsError
from ops.folder import held
from ops.logs import configure_logs
from ops.settings import ChannelSettings, Settings
from ops.supervisor import Supervisor, signals
from web.health import Health, StageHealth


def run_command(urls: list[str], options: Options) -> int:
    """Run the service until SIGTERM or Ctrl-C."""
    try:
        settings = loaded(options).settings
        channels = [*settings.channels, *(ChannelSettings(url=url) for url in urls)]
        seen: set[str] = set()
        for channel in channels:
            if channel.url in seen:
                raise OpsError(f"{channel.url} is named twice; a channel is watched once")
            seen.add(channel.url)
            if not is_address(channel.url):
                raise OpsError(f"{channel.url} is no http:// or https:// address")
            chat_address(channel.chat, channel.name)
        configure_logs(settings.log)
        with held(settings.data_dir) as folder:
            asyncio.run(_serve(settings, channels, folder))
    except OpsError as error:
        complain(str(error))
        return FAILED
    return OK


async def _serve(settings: Settings, channels: list[ChannelSettings], folder: Path) -> None:
    async with open_parts(settings, folder) as parts:
        ctx = Ctx(bus=parts.bus, meter=parts.meter)
        supervisor = Supervisor(ctx, settings.supervisor)
        watches = [_keep_watching(settings, parts, channel) for channel in channels]

        def health() -> Health:
            stages = (
                *(
                    StageHealth(name=name, ok=not trouble, detail=trouble)
                    for name, trouble in supervisor.troubles.items()
                ),
                *(StageHealth(name=w.name, ok=True, detail=w.state) for w in watches),
            )
            return Health(ok=all(stage.ok for stage in stages), stages=stages)

        web = web_stage(parts, health)
        stages: list[Stage] = [web, *pipeline(parts), *watches]
        with signals(ctx.draining):
            announcing = asyncio.create_task(_announce(web.address, len(channels)))
            try:
                await supervisor.run(stages)
            finally:
                announcing.cancel()


def _keep_watching(settings: Settings, parts: Parts, channel: ChannelSettings) -> KeepWatching:
    name = channel.name or channel.url
    chat = chat_address(channel.chat, channel.name)

    async def make_watch() -> Watch:
        return await live_watch(
            settings, parts, asyncio.Event(), channel.url, chat, title=channel.name
        )

    return KeepWatching(name, make_watch)


async def _announce(address: Callable[[], Awaitable[str]], channels: int) -> None:
    console = Console(stderr=True)
    console.print(f"status page: {await address()}", highlight=False)
    if not channels:
        console.print(
            "no channel is watched: give addresses (clipthat run URL …), or \\[\\[channels]] in "
            "clipthat.toml",
            highlight=False,
        )
