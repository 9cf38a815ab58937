"""`clipthat vod`."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import replace
from pathlib import Path

from bus.events import stable_id
from ingest.chat.file_chat import FileChat
from ingest.file import FileSource
from ingest.hls_vod import HlsVod
from ingest.source import Source
from ingest.watch import Watch, WatchTarget
from ingest.words import find_words, store_words
from ops.bootstrap import Parts, wall_clock
from ops.commands.options import FAILED, Options, complain, loaded
from ops.commands.report import report, view_for
from ops.errors import OpsError
from ops.folder import default_out
from ops.logs import configure_logs
from ops.oneshot import run_session
from ops.settings import Settings


def vod_command(
    source: str,
    chat: Path | None,
    words: Path | None,
    out: Path | None,
    top: int,
    options: Options,
) -> int:
    """Make the best clips of a recording; 1 when it cannot be done, 130 when it was stopped."""
    folder = out or default_out(source)
    began_s = time.monotonic()
    try:
        settings = loaded(options).settings
        configure_logs(settings.log if options.verbose else replace(settings.log, level="ERROR"))
        _check(source, chat, words)
        ran = asyncio.run(
            run_session(
                settings,
                folder,
                lambda parts, stop: _watch(settings, parts, stop, source, chat, words, top),
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


def _check(source: str, chat: Path | None, words: Path | None) -> None:
    """Refuse what is not there before anything is made."""
    if "://" in source and not is_address(source):
        raise OpsError(f"{source}: only http:// and https:// addresses can be read")
    if not is_address(source) and not Path(source).is_file():
        raise OpsError(f"{source} is not there; give a video file or the address of an HLS VOD")
    for path in (chat, words):
        if path is not None and not path.is_file():
            raise OpsError(f"{path} is not there")


def _file_mark(path: Path | None) -> str:
    if path is None:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _watch(
    settings: Settings,
    parts: Parts,
    stop: asyncio.Event,
    source: str,
    chat: Path | None,
    words: Path | None,
    top: int,
) -> Watch:
    media: Source
    if is_address(source):
        media = HlsVod(source, parts.fetcher, settings.ingest, meter=parts.meter)
    else:
        media = FileSource(Path(source), settings.file)
        words = words or find_words(Path(source))
    # What shapes the result is part of the session's identity: the same command goes on with the
    # same session, another one begins its own.
    channel_id = stable_id("vod", source, top, _file_mark(chat), _file_mark(words))
    words_key = None
    if words is not None:
        words_key = await store_words(
            parts.objects, tenant_id=settings.tenant_id, session_id=channel_id, path=words
        )
    target = WatchTarget(
        tenant_id=settings.tenant_id,
        channel_id=channel_id,
        clips_max=top,
        words_key=words_key,
    )
    return Watch(
        target,
        media,
        FileChat(chat, settings=settings.chat.file) if chat is not None else None,
        parts.objects,
        settings.ingest,
        wall_clock,
        stop,
        chat_settings=settings.chat,
    )
