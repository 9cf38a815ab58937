"""The watch list at work: what stands on it is watched, what is taken off it is let go.

Law: each channel has a supervisor of its own, so one that breaks never touches another; a database
that cannot be read stops nothing that runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

from bus.events import stable_id
from bus.stage import Ctx
from ingest.errors import SourceUnusable
from ingest.twitch.names import TwitchChannel, TwitchVideo, is_login, read_twitch
from ops.channel_run import ChannelRun, MakeWatch
from ops.channels import LOOK_EVERY_S, Hints, NoHints
from ops.supervisor import SupervisorSettings
from store.state.errors import StateUnavailable
from store.state.watchlist import Listed, Place, PlaceRefused, Watchlist

log = logging.getLogger(__name__)

RECONCILE_S = 1.0
"""How often the list is read."""

TEXT_CHARS_MAX = 2_000
"""No channel's address is longer."""


class WatchlistStage:
    """Stage: watches the channels of the settings and of the watch list."""

    def __init__(
        self,
        watchlist: Watchlist,
        make_watch: MakeWatch,
        settings: SupervisorSettings,
        *,
        fixed: Sequence[Place] = (),
        hints: Hints | None = None,
        look_every_s: float = LOOK_EVERY_S,
        reconcile_s: float = RECONCILE_S,
    ) -> None:
        """`fixed`: channels that are watched whatever the list says."""
        self._watchlist = watchlist
        self._make_watch = make_watch
        self._settings = settings
        self._fixed = fixed
        self._hints = hints or NoHints()
        self._look_every_s = look_every_s
        self._reconcile_s = reconcile_s
        self._running: dict[str, ChannelRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def name(self) -> str:
        """The word in logs and metrics."""
        return "watchlist"

    @property
    def states(self) -> dict[str, str]:
        """How each watched channel stands, by its name, for the status page."""
        return {
            one.place.name: ": ".join(part for part in one.told() if part)
            for one in self._running.values()
        }

    def fixed(self) -> list[Listed]:
        """Return how the channels stand that are watched whatever the list says."""
        stands = ((place, self._told(place.id)) for place in self._fixed)
        return [Listed(place=place, state=told[0], detail=told[1]) for place, told in stands]

    async def run(self, ctx: Ctx) -> None:
        """Watch until drained."""
        self._running.clear()
        self._tasks.clear()
        async with asyncio.TaskGroup() as group:
            while not ctx.draining.is_set():
                await self._reconcile(ctx, group)
                ctx.meter.gauge("clipthat_watched_channels", len(self._running))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ctx.draining.wait(), self._reconcile_s)
            for one in self._running.values():
                one.draining.set()

    async def _reconcile(self, ctx: Ctx, group: asyncio.TaskGroup) -> None:
        """Start what is wanted and does not run, stop what runs and is not wanted."""
        try:
            listed = await self._watchlist.listed()
        except StateUnavailable as error:
            log.warning("the watch list cannot be read", extra={"detail": str(error)})
            return
        places = [*(one.place for one in listed if one.always), *self._fixed]
        wanted = {place.id: place for place in places}
        for place_id, one in list(self._running.items()):
            if place_id not in wanted:
                one.stop.set()
            if self._tasks[place_id].done():
                del self._running[place_id], self._tasks[place_id]
                if one.place.kind == "twitch":
                    await self._hints.forget(one.place.name)
        for place_id, place in wanted.items():
            if place_id not in self._running:
                self._running[place_id] = self._begin(ctx, group, place)
        for listing in listed:
            told = self._told(listing.place.id)
            if told != (listing.state, listing.detail):
                await self._tell(listing.place.id, told)

    def _begin(self, ctx: Ctx, group: asyncio.TaskGroup, place: Place) -> ChannelRun:
        one = ChannelRun(
            Ctx(bus=ctx.bus, meter=ctx.meter, suspects=ctx.suspects),
            place,
            self._make_watch,
            self._settings,
            look_every_s=self._look_every_s,
            hints=self._hints,
        )
        self._tasks[place.id] = group.create_task(one.run(), name=one.name)
        return one

    def _told(self, place_id: str) -> tuple[str, str]:
        """Return how a channel stands, and the detail; empty while nobody watches it."""
        one = self._running.get(place_id)
        return ("", "") if one is None else one.told()

    async def _tell(self, place_id: str, told: tuple[str, str]) -> None:
        try:
            await self._watchlist.tell(place_id, *told)
        except StateUnavailable as error:
            log.warning("a channel's state is not told", extra={"detail": str(error)})


def read_place(text: str) -> Place:
    """Understand what a person has written for a channel.

    Raises:
        PlaceRefused: it names nothing that can be watched live; the message says what does.
    """
    text = text.strip()
    if not text:
        raise PlaceRefused("Write a channel's name, twitch.tv/NAME or an https:// address.")
    if len(text) > TEXT_CHARS_MAX:
        raise PlaceRefused("That is too long for a channel's name or address.")
    name = text.lower().removeprefix("@")
    if is_login(name):
        return _channel(TwitchChannel(name))
    try:
        named = read_twitch(text)
    except SourceUnusable as error:
        raise PlaceRefused(str(error)) from error
    if isinstance(named, TwitchVideo):
        raise PlaceRefused(
            f"{named.shown} is a VOD; make its clips with `clipthat vod {named.shown}`"
        )
    if named is not None:
        return _channel(named)
    return _playlist(text)


def _channel(named: TwitchChannel) -> Place:
    return Place(
        id=stable_id("twitch", named.login), name=named.login, url=named.shown, kind="twitch"
    )


def _playlist(text: str) -> Place:
    try:
        address = urlsplit(text)
        host = address.hostname
    except ValueError:
        host = None
    if host is None or address.scheme not in ("http", "https"):
        raise PlaceRefused(
            f"{text} is neither a channel's name, twitch.tv/NAME nor an http:// or https:// address"
            " of a live HLS playlist"
        )
    if not address.path.lower().endswith((".m3u8", ".m3u")):
        raise PlaceRefused(
            f"{host}{address.path} is no HLS playlist: its address ends in .m3u8. Of streaming"
            " sites, Twitch alone is watched by name"
        )
    return Place(id=stable_id("live", text), name=f"{host}{address.path}", url=text, kind="hls")
