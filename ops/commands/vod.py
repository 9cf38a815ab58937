"""`clipthat vod`."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bus.events import stable_id
from ingest.chat.file_chat import FileChat
from ingest.chat.gql_chat import GqlChat
from ingest.chat.source import ChatSource
from ingest.errors import SourceUnusable
from ingest.file import FileSource
from ingest.hls_vod import HlsVod
from ingest.source import Source
from ingest.span import Span
from ingest.twitch.names import TwitchChannel, TwitchVideo, read_twitch
from ingest.watch import Watch, WatchTarget
from ingest.words import find_words, store_words
from ops.bootstrap import Parts, wall_clock
from ops.commands.options import FAILED, Options, complain, loaded
from ops.commands.positions import read_span
from ops.commands.report import report, view_for
from ops.errors import OpsError
from ops.folder import default_out
from ops.logs import configure_logs
from ops.oneshot import run_session
from ops.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a person asks `clipthat vod` for."""

    source: str
    """A file, or an address of a VOD."""
    chat: Path | None = None
    words: Path | None = None
    top: int = 5
    start: str = ""
    """Where to begin, as a person writes it; empty: at the beginning, as `stop`: at the end."""
    stop: str = ""


def vod_command(wanted: Wanted, out: Path | None, options: Options) -> int:
    """Make the best clips of a recording; 1 when it cannot be done, 130 when it was stopped."""
    folder = out or default_out(wanted.source)
    began_s = time.monotonic()
    try:
        settings = loaded(options).settings
        configure_logs(settings.log if options.verbose else replace(settings.log, level="ERROR"))
        where, span = _place(wanted), read_span(wanted.start, wanted.stop)
        ran = asyncio.run(
            run_session(
                settings,
                folder,
                lambda parts, stop: _watch(settings, parts, stop, wanted, where, span),
                view_for(options),
                gentle_stop=False,
            )
        )
    except OpsError as error:
        complain(str(error))
        return FAILED
    return report(ran, folder, time.monotonic() - began_s, options)


def is_address(source: str) -> bool:
    """Whether a source is fetched rather than opened."""
    return source.startswith(("http://", "https://"))


def _place(wanted: Wanted) -> TwitchVideo | str | Path:
    """Return what is to be read; refuse what is not there before anything is made."""
    for path in (wanted.chat, wanted.words):
        if path is not None and not path.is_file():
            raise OpsError(f"{path} is not there")
    source = wanted.source
    if Path(source).is_file():
        return Path(source)
    try:
        named = read_twitch(source)
    except SourceUnusable as error:
        raise OpsError(str(error)) from error
    if isinstance(named, TwitchChannel):
        raise OpsError(f"{source} is a channel; watch it with `clipthat live {named.shown}`")
    if named is not None:
        return named
    if "://" in source and not is_address(source):
        raise OpsError(f"{source}: only http:// and https:// addresses can be read")
    if not is_address(source):
        raise OpsError(
            f"{source} is not there; give a video file, twitch.tv/videos/NUMBER or the address of"
            " an HLS VOD"
        )
    return source


def _file_mark(path: Path | None) -> str:
    if path is None:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _watch(
    settings: Settings,
    parts: Parts,
    stop: asyncio.Event,
    wanted: Wanted,
    where: TwitchVideo | str | Path,
    span: Span,
) -> Watch:
    words = wanted.words
    if words is None and isinstance(where, Path):
        words = find_words(where)
    # What shapes the result is part of the session's identity: the same command goes on with the
    # same session, another one begins its own.
    shape = (wanted.top, _file_mark(wanted.chat), _file_mark(words))
    if isinstance(where, TwitchVideo):
        channel_id = stable_id("twitch", "videos", where.video_id)
    else:
        channel_id = stable_id("vod", wanted.source, *shape)
    words_key = None
    if words is not None:
        words_key = await store_words(
            parts.objects,
            tenant_id=settings.tenant_id,
            session_id=stable_id(channel_id, *shape),
            path=words,
        )
    target = WatchTarget(
        tenant_id=settings.tenant_id,
        channel_id=channel_id,
        clips_max=wanted.top,
        words_key=words_key,
        shape=stable_id(*shape) if isinstance(where, TwitchVideo) else "",
    )
    return Watch(
        target,
        _source(settings, parts, where, span),
        _chat(settings, parts, wanted.chat, where),
        parts.objects,
        settings.ingest,
        wall_clock,
        stop,
        chat_settings=settings.chat,
    )


def _source(
    settings: Settings, parts: Parts, where: TwitchVideo | str | Path, span: Span
) -> Source:
    if isinstance(where, Path):
        return FileSource(where, settings.file, span=span)
    twitch = isinstance(where, TwitchVideo)
    return HlsVod(
        parts.twitch.video(where.video_id) if isinstance(where, TwitchVideo) else where,
        parts.fetcher,
        settings.ingest,
        span=span,
        quality=settings.twitch.quality if twitch else (),
        meter=parts.meter,
    )


def _chat(
    settings: Settings, parts: Parts, file: Path | None, where: TwitchVideo | str | Path
) -> ChatSource | None:
    if file is not None:
        return FileChat(file, settings=settings.chat.file)
    if isinstance(where, TwitchVideo):
        return GqlChat(where.video_id, settings.twitch, meter=parts.meter)
    return None
