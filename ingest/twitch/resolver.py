"""Finds Twitch's channels and VODs: a token by streamlink, then the playlist that it opens.

Law: at most `resolve_at_once` looks are under way, and one in `resolve_every_s` for each channel;
a look is bounded in time, and what it finds is never written anywhere.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from bus.ports import Meter, SilentMeter
from ingest.address import Address, Resolved
from ingest.errors import MalformedPlaylist, SourceGone, SourceOffline
from ingest.multivariant import Multivariant
from ingest.playlist import PlaylistLimits, parse_playlist
from ingest.playlist_reader import Answer, Web
from ingest.settings import IngestSettings
from ingest.timer import Timer, WallTimer
from ingest.twitch.names import TwitchChannel, TwitchVideo
from ingest.twitch.refusals import playlist_refused, twitch_away
from store.errors import FetchError, FetchRefused, FetchStatus
from store.twitch.settings import TwitchSettings

if TYPE_CHECKING:
    from ingest.twitch.streamlink_look import About, Pass

_T = TypeVar("_T")
_REMEMBERED = 4096
"""So many channels' last looks are known."""
_PLAYLIST_BYTES_MAX = 1_000_000
_LIMITS = PlaylistLimits(bytes_max=_PLAYLIST_BYTES_MAX, segments_max=1)


class TwitchResolver:
    """One for the whole process: it keeps the limits."""

    def __init__(
        self,
        settings: TwitchSettings,
        ingest: IngestSettings,
        web: Web,
        *,
        timer: Timer | None = None,
        meter: Meter | None = None,
    ) -> None:
        """`ingest.resolve_every_s` is the time between two looks for the same channel or VOD."""
        self._settings = settings
        self._web = web
        self._every_s = ingest.resolve_every_s
        self._timer = timer or WallTimer()
        self._meter = meter or SilentMeter()
        self._at_once = asyncio.Semaphore(settings.resolve_at_once)
        # Hundreds of offline channels' looks would keep the loop's own few threads from others.
        self._threads = ThreadPoolExecutor(settings.resolve_at_once, "twitch-look")
        self._next_s: OrderedDict[str, float] = OrderedDict()

    def channel(self, login: str) -> Address:
        """Return a channel's address; resolving it raises `SourceOffline` while nothing is on."""
        return _TwitchAddress(self, TwitchChannel(login))

    def video(self, video_id: str) -> Address:
        """Return a VOD's address."""
        return _TwitchAddress(self, TwitchVideo(video_id))

    def hint(self, login: str) -> None:
        """Take a hint that a channel has gone live: its next look is not held back."""
        self._next_s.pop(TwitchChannel(login).shown, None)

    async def look(self, what: TwitchChannel | TwitchVideo, title: str) -> Resolved:
        """Look for a channel or VOD; `title` is what it was called before.

        Raises:
            SourceUnusable, SourceGone: why it cannot be watched, for a person.
        """
        await self._turn(what.shown)
        try:
            async with self._at_once:
                found = await self._look(what, title)
        except SourceOffline:
            self._count("offline")
            raise
        except BaseException:
            self._count("failed")
            raise
        self._count("ok")
        return found

    async def _turn(self, shown: str) -> None:
        now_s = self._timer.now()
        at_s = max(now_s, self._next_s.pop(shown, now_s))
        self._next_s[shown] = at_s + self._every_s
        while len(self._next_s) > _REMEMBERED:
            self._next_s.popitem(last=False)
        if at_s > now_s:
            await self._timer.sleep(at_s - now_s)

    async def _look(self, what: TwitchChannel | TwitchVideo, title: str) -> Resolved:
        opens = await self._ask(what, _ask_pass)
        answer = await self._playlist(what, opens)
        broadcast_id = f"v{what.video_id}" if isinstance(what, TwitchVideo) else _named(answer)
        if not title or not broadcast_id:
            about = await self._about(what)
            if about is not None:
                broadcast_id = broadcast_id or about.broadcast_id
                title = title or about.title
        return Resolved(
            url=answer.url,
            headers=opens.headers,
            playlist=answer.body,
            broadcast_id=broadcast_id,
            title=title,
            fleeting=isinstance(what, TwitchChannel),
        )

    async def _playlist(self, what: TwitchChannel | TwitchVideo, opens: Pass) -> Answer:
        try:
            return await self._web.get(
                opens.url,
                max_bytes=_PLAYLIST_BYTES_MAX,
                timeout_s=self._settings.timeout_s,
                headers=opens.headers,
            )
        except FetchStatus as error:
            raise playlist_refused(what, error.status, error.body, opens.token) from error
        except FetchRefused as error:
            raise SourceGone(f"{what.shown}: {error}") from error
        except FetchError as error:
            raise twitch_away(what, None) from error

    async def _ask(
        self,
        what: TwitchChannel | TwitchVideo,
        ask: Callable[[TwitchChannel | TwitchVideo, TwitchSettings], _T],
    ) -> _T:
        try:
            # The thread's own time limit is for each read; this one is for everything.
            async with asyncio.timeout(2 * self._settings.timeout_s):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, ask, what, self._settings)
        except TimeoutError as error:
            raise twitch_away(what, None) from error

    async def _about(self, what: TwitchChannel | TwitchVideo) -> About | None:
        try:
            return await self._ask(what, _ask_about)
        except SourceGone:
            return None

    def _count(self, outcome: str) -> None:
        self._meter.count("clipthat_twitch_looks_total", outcome=outcome)


class _TwitchAddress:
    """A channel or VOD; its title is asked for once."""

    def __init__(self, resolver: TwitchResolver, what: TwitchChannel | TwitchVideo) -> None:
        self._resolver = resolver
        self._what = what
        self._title = ""

    @property
    def shown(self) -> str:
        """As a person knows it."""
        return self._what.shown

    async def resolve(self) -> Resolved:
        """Look for it; as `Address.resolve`."""
        found = await self._resolver.look(self._what, self._title)
        self._title = found.title or self.shown
        return found


def _named(answer: Answer) -> str:
    try:
        playlist = parse_playlist(answer.body, answer.url, _LIMITS)
    except MalformedPlaylist:
        return ""
    return playlist.broadcast_id if isinstance(playlist, Multivariant) else ""


# Loading streamlink takes half a second, for which a command that asks nothing need not wait.


def _ask_pass(what: TwitchChannel | TwitchVideo, settings: TwitchSettings) -> Pass:
    from ingest.twitch.streamlink_look import ask_pass

    return ask_pass(what, settings)


def _ask_about(what: TwitchChannel | TwitchVideo, settings: TwitchSettings) -> About:
    from ingest.twitch.streamlink_look import ask_about

    return ask_about(what, settings)
