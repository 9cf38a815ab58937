"""`clipthat live`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from bus.events import stable_id
from ingest.chat.file_chat import FileChat
from ingest.chat.irc import IrcChat
from ingest.chat.source import ChatSource
from ingest.hls_live import HlsLive
from ingest.watch import Watch, WatchTarget
from ingest.words import store_words
from ops.bootstrap import Parts, wall_clock
from ops.commands.options import FAILED, Options, complain, loaded
from ops.commands.report import report, view_for
from ops.commands.vod import is_address
from ops.errors import OpsError
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
    options: Options,
) -> int:
    """Watch a live stream and make its clips; 1 when it cannot be done, 130 when stopped."""
    folder = out or default_out(url)
    began_s = time.monotonic()
    try:
        settings = loaded(options).settings
        configure_logs(settings.log if options.verbose else replace(settings.log, level="ERROR"))
        if not is_address(url):
            raise OpsError(f"{url} is no http:// or https:// address of a live HLS playlist")
        chat_place = chat_address(chat, channel)
        ran = asyncio.run(
            run_session(
                settings,
                folder,
                lambda parts, stop: live_watch(settings, parts, stop, url, chat_place, for_s),
                view_for(options),
                gentle_stop=True,
            )
        )
    except OpsError as error:
        complain(str(error))
        return FAILED
    return report(ran, folder, time.monotonic() - began_s, options)


def stream_name(url: str) -> str:
    """Return what a stream is called when nobody has named it: its address without secrets."""
    address = urlsplit(url)
    return f"{address.hostname or url}{address.path}"


def chat_address(chat: str | None, channel: str | None) -> str:
    """Return where chat comes from: empty, a path, or an address of an IRC server and channel.

    Raises:
        OpsError: the file is not there, or `irc` has no channel.
    """
    if not chat:
        return ""
    if chat == "irc":
        if not channel:
            raise OpsError("--chat irc needs --channel NAME: whose chat is to be read?")
        return channel.lower().lstrip("#")
    if "://" in chat:
        if not chat.startswith(("irc://", "ircs://", "ws://", "wss://")) or "#" not in chat:
            raise OpsError(f"{chat} is no chat; write irc://HOST:PORT/#channel")
        return chat
    if not Path(chat).is_file():
        raise OpsError(f"{chat} is not there")
    return chat


def chat_source(place: str, settings: Settings) -> ChatSource | None:
    """Return a reader for a chat's place; None for an empty one."""
    if not place:
        return None
    if "://" in place or not Path(place).exists():
        return IrcChat(place, settings.chat.irc)
    return FileChat(Path(place), live=True, settings=settings.chat.file)


async def live_watch(
    settings: Settings,
    parts: Parts,
    stop: asyncio.Event,
    url: str,
    chat: str,
    for_s: float | None = None,
    title: str = "",
    words: Path | None = None,
) -> Watch:
    """Return the watch of a live stream.

    Raises:
        WordsError: `words`, what will be said in the stream, cannot be read.
    """
    channel_id = stable_id("live", url)
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
    )
    return Watch(
        target,
        HlsLive(
            url, parts.fetcher, settings.ingest, title=title or stream_name(url), meter=parts.meter
        ),
        chat_source(chat, settings),
        parts.objects,
        settings.ingest,
        wall_clock,
        stop,
        chat_settings=settings.chat,
    )
