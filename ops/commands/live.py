"""`clipthat live`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from bus.events import stable_id
from ingest.chat.eventsub import EventSubHub
from ingest.chat.file_chat import FileChat
from ingest.chat.source import ChatSource
from ingest.chat.twitch_chat import TwitchChat
from ingest.errors import SourceOffline, SourceUnusable
from ingest.hls_live import HlsLive
from ingest.twitch.names import TwitchChannel, TwitchVideo, read_twitch
from ingest.watch import Watch, WatchTarget
from ingest.words import store_words
from ops.bootstrap import Parts, wall_clock
from ops.commands.options import FAILED, Options, complain, loaded
from ops.commands.report import report, view_for
from ops.commands.vod import is_address
from ops.errors import OpsError, StageBroken
from ops.folder import default_out
from ops.logs import configure_logs
from ops.oneshot import run_session
from ops.settings import Settings


def live_command(
    url: str,
    chat: str | None,
    channel: str | None,
    out: Path | None,
    for_s: float | None,
    quality: list[str],
    options: Options,
) -> int:
    """Watch a live stream and make its clips; 1 when it cannot be done, 130 when stopped."""
    folder = out or default_out(url)
    began_s = time.monotonic()
    try:
        settings = loaded(options).settings
        configure_logs(settings.log if options.verbose else replace(settings.log, level="ERROR"))
        where = live_place(url)
        login = where.login if isinstance(where, TwitchChannel) else ""
        chat_place = chat_address(chat, channel, login)
        ran = asyncio.run(
            run_session(
                settings,
                folder,
                lambda parts, stop: live_watch(
                    settings, parts, stop, url, chat_place, for_s, quality=quality
                ),
                view_for(options),
                gentle_stop=True,
            )
        )
    except StageBroken as error:
        offline = isinstance(error.__cause__, SourceOffline)
        complain(f"{error}; `clipthat run {url}` waits until it is live" if offline else str(error))
        return FAILED
    except OpsError as error:
        complain(str(error))
        return FAILED
    return report(ran, folder, time.monotonic() - began_s, options)


def live_place(url: str) -> TwitchChannel | str:
    """Return what an address of something live names: a channel on Twitch, or a playlist's URL.

    Raises:
        OpsError: neither, and what to write instead.
    """
    try:
        named = read_twitch(url)
    except SourceUnusable as error:
        raise OpsError(str(error)) from error
    if isinstance(named, TwitchVideo):
        raise OpsError(f"{url} is a VOD; make its clips with `clipthat vod {named.shown}`")
    if named is None and not is_address(url):
        raise OpsError(
            f"{url} is neither twitch.tv/NAME nor an http:// or https:// address of a live HLS"
            " playlist"
        )
    return named or url


def stream_name(url: str) -> str:
    """Return what a stream is called when nobody has named it: its address without secrets."""
    address = urlsplit(url)
    return f"{address.hostname or url}{address.path}"


def chat_address(chat: str | None, channel: str | None, login: str = "") -> str:
    """Return where chat comes from: empty, a file's whole path, or an IRC channel or address.

    Args:
        chat: what a person has asked for; `none` for no chat.
        channel: whose chat `irc` is.
        login: the channel on Twitch that is watched, whose own chat is read when nothing is asked.

    Raises:
        OpsError: the file is not there, or `irc` has no channel.
    """
    if not chat:
        return login
    if chat == "none":
        return ""
    if chat == "irc":
        named = channel or login
        if not named:
            raise OpsError("--chat irc needs --channel NAME: whose chat is to be read?")
        return named.lower().lstrip("#")
    if "://" in chat:
        if not chat.startswith(("irc://", "ircs://", "ws://", "wss://")) or "#" not in chat:
            raise OpsError(f"{chat} is no chat; write irc://HOST:PORT/#channel")
        return chat
    if not Path(chat).is_file():
        raise OpsError(f"{chat} is not there")
    return str(Path(chat).resolve())


def chat_source(
    place: str, parts: Parts, login: str = "", eventsub: EventSubHub | None = None
) -> ChatSource | None:
    """Return a reader for a chat's place; None for an empty one.

    Args:
        place: as `chat_address` returns it.
        parts: what the process is made of.
        login: the channel on Twitch that is watched.
        eventsub: hears the channel's own chat where its account is connected.
    """
    settings = parts.settings.chat
    if not place:
        return None
    if Path(place).is_absolute():
        return FileChat(Path(place), live=True, settings=settings.file)
    if eventsub is not None and place == login:
        return TwitchChat(
            login,
            irc=parts.irc.hub(),
            eventsub=eventsub,
            room=settings.room,
            patience_s=settings.eventsub.patience_s,
            meter=parts.meter,
        )
    return parts.irc.room(place, settings.room)


async def live_watch(
    settings: Settings,
    parts: Parts,
    stop: asyncio.Event,
    url: str,
    chat: str,
    for_s: float | None = None,
    title: str = "",
    words: Path | None = None,
    *,
    quality: Sequence[str] = (),
    eventsub: EventSubHub | None = None,
    kept: bool = False,
) -> Watch:
    """Return the watch of a live stream.

    Args:
        settings: everything that is set.
        parts: what the process is made of.
        stop: set when a person wants the session to end.
        url: twitch.tv/NAME, or the address of a live HLS playlist.
        chat: where its chat comes from, as `chat_address` returns it.
        for_s: end the session after so long.
        title: what it is called; empty: as the platform calls it, or by its address.
        words: what will be said in the stream.
        quality: renditions to prefer; empty: as the settings say.
        eventsub: hears the chat of channels whose account is connected.
        kept: as in `WatchTarget`.

    Raises:
        OpsError: the address names nothing that can be watched live.
        WordsError: `words` cannot be read.
    """
    where = live_place(url)
    login = where.login if isinstance(where, TwitchChannel) else ""
    source = _source(settings, parts, where, title, quality)
    channel_id = channel_of(where)
    words_key = None
    if words is not None:
        words_key = await store_words(
            parts.objects, tenant_id=settings.tenant_id, session_id=channel_id, path=words
        )
    target = WatchTarget(
        tenant_id=settings.tenant_id,
        channel_id=channel_id,
        title=title,
        words_key=words_key,
        stop_after_s=for_s,
        kept=kept,
    )
    return Watch(
        target,
        source,
        chat_source(chat, parts, login, eventsub),
        parts.objects,
        settings.ingest,
        wall_clock,
        stop,
        chat_settings=settings.chat,
        flap_s=settings.twitch.flap_s,
    )


def channel_of(where: TwitchChannel | str) -> str:
    """Return the id under which a channel is known, however its address is written."""
    if isinstance(where, TwitchChannel):
        return stable_id("twitch", where.login)
    return stable_id("live", where)


def _source(
    settings: Settings,
    parts: Parts,
    where: TwitchChannel | str,
    title: str,
    quality: Sequence[str],
) -> HlsLive:
    if isinstance(where, TwitchChannel):
        twitch = settings.twitch
        return HlsLive(
            parts.twitch.channel(where.login),
            parts.fetcher,
            settings.ingest,
            quality=quality or twitch.quality,
            renew_after_s=twitch.renew_after_s,
            flap_s=twitch.flap_s,
            title=title,
            meter=parts.meter,
        )
    return HlsLive(
        where,
        parts.fetcher,
        settings.ingest,
        quality=quality,
        flap_s=settings.twitch.flap_s,
        title=title or stream_name(where),
        meter=parts.meter,
    )
