"""`clipthat run`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from rich.console import Console

from bus.stage import Ctx, Stage
from ingest.chat.eventsub import EventSubHub
from ingest.twitch.resolver import TwitchResolver
from ingest.watch import Watch
from ops.bootstrap import Parts, open_parts, open_state, pipeline, web_stage
from ops.commands.fixed import Fixed, read_fixed
from ops.commands.live import live_watch
from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.commands.run_roles import refuse_channels, serve_roles
from ops.errors import OpsError
from ops.folder import held
from ops.lag import LagWatch
from ops.logs import configure_logs
from ops.roles import read_roles
from ops.settings import ChannelSettings, Settings
from ops.supervisor import Supervisor, signals
from ops.twitch import TwitchParts, open_twitch
from ops.watchlist import WatchlistStage
from store.state.watchlist import Place
from web.health import Health, StageHealth


def run_command(urls: list[str], roles: str | None, options: Options) -> int:
    """Run the service, or the named roles of it, until SIGTERM or Ctrl-C."""
    try:
        settings = loaded(options).settings
        named = None if roles is None else read_roles(roles)
        if named is not None:
            refuse_channels(named, urls)
        chooses = named is None or named.has_database
        channels = [*settings.channels, *(ChannelSettings(url=url) for url in urls)]
        fixed = read_fixed(channels if chooses else [])
        configure_logs(settings.log, role="" if named is None else str(named))
        with held(settings.data_dir, shared=named is not None) as folder:
            if named is None:
                asyncio.run(_serve(settings, fixed, folder))
            else:
                asyncio.run(serve_roles(settings, named, fixed, folder))
    except OpsError as error:
        complain(str(error))
        return FAILED
    return OK


async def _serve(settings: Settings, fixed: Mapping[str, Fixed], folder: Path) -> None:
    async with (
        open_parts(settings, folder) as parts,
        open_state(settings, folder) as state,
        open_twitch(parts, state, folder) as twitch,
    ):
        parts.meter.gauge("clipthat_role", 1, role="all")
        ctx = Ctx(bus=parts.bus, meter=parts.meter)
        supervisor = Supervisor(ctx, settings.supervisor)
        watches = _watchlist(settings, parts, twitch, fixed)

        def health() -> Health:
            stages = (
                *(
                    StageHealth(name=name, ok=not trouble, detail=trouble)
                    for name, trouble in supervisor.troubles.items()
                ),
                *(
                    StageHealth(name=f"watch {name}", ok=True, detail=state)
                    for name, state in watches.states.items()
                ),
                StageHealth(name="twitch accounts", ok=True, detail=twitch.keeper.detail),
            )
            return Health(ok=all(stage.ok for stage in stages), stages=stages)

        web = web_stage(parts, state, health, twitch.access, watches.fixed)
        stages: list[Stage] = [
            *(web, *pipeline(parts, state)),
            *(twitch.keeper, twitch.native_clips, watches, LagWatch()),
        ]
        with signals(ctx.draining):
            announcing = asyncio.create_task(_announce(web.address, twitch, len(fixed)))
            try:
                await supervisor.run(stages)
            finally:
                announcing.cancel()


def _watchlist(
    settings: Settings, parts: Parts, twitch: TwitchParts, fixed: Mapping[str, Fixed]
) -> WatchlistStage:
    async def make_watch(place: Place, stop: asyncio.Event) -> Watch:
        known = fixed.get(place.id)
        own_chat = place.name if place.kind == "twitch" else ""
        return await live_watch(
            settings,
            parts,
            stop,
            place.url,
            own_chat if known is None else known.chat,
            title="" if known is None else known.title,
            eventsub=twitch.eventsub,
            kept=True,
        )

    return WatchlistStage(
        twitch.watchlist,
        make_watch,
        settings.supervisor,
        fixed=[one.place for one in fixed.values()],
        hints=_Hints(twitch.eventsub, parts.twitch),
    )


class _Hints:
    """Hints of the event sockets; a channel that one is heard of may be looked for at once."""

    def __init__(self, eventsub: EventSubHub, resolver: TwitchResolver) -> None:
        self._eventsub = eventsub
        self._resolver = resolver

    async def changed(self, login: str, timeout_s: float) -> None:
        """As `Hints.changed`."""
        await self._eventsub.changed(login, timeout_s)
        self._resolver.hint(login)

    async def forget(self, login: str) -> None:
        """As `Hints.forget`."""
        await self._eventsub.forget(login)


async def _announce(
    address: Callable[[], Awaitable[str]], twitch: TwitchParts, channels: int
) -> None:
    console = Console(stderr=True)
    page = await address()
    console.print(f"status page: {page}", highlight=False)
    if not channels and not await twitch.watchlist.listed():
        console.print(
            f"no channel is watched yet: add one on {page}/channels, or start with"
            " `clipthat run twitch.tv/NAME`",
            highlight=False,
        )
