"""`clipthat run`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bus.stage import Ctx, Stage
from ingest.chat.eventsub import EventSubHub
from ingest.twitch.names import TwitchChannel
from ingest.twitch.resolver import TwitchResolver
from ingest.watch import Watch
from ops.bootstrap import Parts, open_parts, pipeline, web_stage
from ops.commands.live import channel_of, chat_address, live_place, live_watch, stream_name
from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.errors import OpsError
from ops.folder import held
from ops.logs import configure_logs
from ops.settings import ChannelSettings, Settings
from ops.supervisor import Supervisor, signals
from ops.twitch import TwitchParts, open_twitch
from ops.watchlist import WatchlistStage
from store.state.watchlist import Place
from web.health import Health, StageHealth


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fixed:
    """A channel of the settings or the command line."""

    place: Place
    title: str
    chat: str
    """As `chat_address` returns it."""


def run_command(urls: list[str], options: Options) -> int:
    """Run the service until SIGTERM or Ctrl-C."""
    try:
        settings = loaded(options).settings
        fixed = _read([*settings.channels, *(ChannelSettings(url=url) for url in urls)])
        configure_logs(settings.log)
        with held(settings.data_dir) as folder:
            asyncio.run(_serve(settings, fixed, folder))
    except OpsError as error:
        complain(str(error))
        return FAILED
    return OK


def _read(channels: Sequence[ChannelSettings]) -> dict[str, _Fixed]:
    """Return the channels by id.

    Raises:
        OpsError: one cannot be watched, is named twice, or has a chat that is none.
    """
    fixed: dict[str, _Fixed] = {}
    for channel in channels:
        where = live_place(channel.url)
        channel_id = channel_of(where)
        if channel_id in fixed:
            raise OpsError(f"{channel.url} is named twice; a channel is watched once")
        if isinstance(where, TwitchChannel):
            login = where.login
            place = Place(id=channel_id, name=login, url=where.shown, kind="twitch")
        else:
            login = ""
            name = channel.name or stream_name(where)
            place = Place(id=channel_id, name=name, url=where, kind="hls")
        chat = chat_address(channel.chat, channel.name, login)
        fixed[channel_id] = _Fixed(place=place, title=channel.name, chat=chat)
    return fixed


async def _serve(settings: Settings, fixed: Mapping[str, _Fixed], folder: Path) -> None:
    async with open_parts(settings, folder) as parts, open_twitch(parts, folder) as twitch:
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

        web = web_stage(parts, health, twitch.access, watches.fixed)
        stages: list[Stage] = [web, *pipeline(parts), twitch.keeper, twitch.native_clips, watches]
        with signals(ctx.draining):
            announcing = asyncio.create_task(_announce(web.address, twitch, len(fixed)))
            try:
                await supervisor.run(stages)
            finally:
                announcing.cancel()


def _watchlist(
    settings: Settings, parts: Parts, twitch: TwitchParts, fixed: Mapping[str, _Fixed]
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
