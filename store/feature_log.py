"""Keeps what detectors saw of each session, so that it can be replayed without its video.

Law: a session's log holds its events in the order in which the bus gave them, one line each. It is
written in chunks while the session is open and becomes one object, `features.jsonl.gz`, when the
session has ended and its features are complete; reading the session again writes the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bus.codec import decode, encode
from bus.consume import fold
from bus.errors import MalformedEvent, UnknownEvent
from bus.events import ChatWindow, Event, LoudnessMeasured, SessionEnded, SessionStarted
from bus.ports import Record
from bus.stage import Ctx
from store.errors import ReplayLogBroken
from store.keys import session_key
from store.objects import Objects

TOPICS = ("sessions", "segments", "chat", "features")
NAME = "features.jsonl.gz"

_CHUNK_EVENTS = 2_000
_SLACK_S = 0.001
"""Sums of durations differ from a told end by rounding only."""


@dataclass(slots=True)
class _OpenLog:
    """A session that is still being written."""

    tenant_id: str
    session_id: str
    lines: list[bytes] = field(default_factory=list)
    chunks: int = 0
    features_s: float = 0.0
    chat_s: float = 0.0
    end: SessionEnded | None = None

    def feed(self, event: Event) -> None:
        self.lines.append(encode(event))
        if isinstance(event, LoudnessMeasured):
            self.features_s = max(self.features_s, event.end_s)
        elif isinstance(event, ChatWindow):
            self.chat_s = max(self.chat_s, event.media_s + event.duration_s)
        elif isinstance(event, SessionEnded):
            self.end = event

    @property
    def is_complete(self) -> bool:
        return (
            self.end is not None
            and self.features_s >= self.end.media_s - _SLACK_S
            and self.chat_s >= self.end.chat_until_s - _SLACK_S
        )

    def key(self, name: str) -> str:
        return session_key(self.tenant_id, self.session_id, name)


class FeatureLog:
    """A folding stage: sessions, segments, chat and features into one object a session."""

    name = "feature_log"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._open: dict[str, _OpenLog] = {}

    async def run(self, ctx: Ctx) -> None:
        """Write until drained."""
        self._open.clear()
        await fold(ctx, self.name, TOPICS, self._take, self._open_sessions, drop=self._drop)

    def _open_sessions(self) -> Collection[str]:
        return self._open.keys()

    async def _drop(self, session_ids: Collection[str]) -> None:
        for session_id in session_ids:
            self._open.pop(session_id, None)

    async def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            event = record.event
            if isinstance(event, SessionStarted):
                self._open[event.session_id] = _OpenLog(event.tenant_id, event.session_id)
            open_log = self._open.get(event.session_id)
            if open_log is None:
                # The log of this session is complete; what is told later changes no moment.
                continue
            open_log.feed(event)
            if open_log.is_complete:
                await self._close(open_log)
            elif len(open_log.lines) >= _CHUNK_EVENTS:
                await self._write_chunk(open_log)

    async def _write_chunk(self, open_log: _OpenLog) -> None:
        chunk = await asyncio.to_thread(_packed, open_log.lines)
        await self._objects.put(open_log.key(_chunk_name(open_log.chunks)), chunk)
        open_log.lines = []
        open_log.chunks += 1

    async def _close(self, open_log: _OpenLog) -> None:
        names = [open_log.key(_chunk_name(number)) for number in range(open_log.chunks)]
        # Compressed files one after the other are one compressed file.
        parts = [await self._objects.get(name) for name in names]
        parts.append(await asyncio.to_thread(_packed, open_log.lines))
        await self._objects.put(open_log.key(NAME), b"".join(parts))
        await self._objects.delete(names)
        del self._open[open_log.session_id]


def read_features(path: Path) -> Iterator[Event]:
    """Yield the events of a recorded session, in the order in which they were recorded.

    Events of a type that this version does not know are left out.

    Raises:
        ReplayLogBroken: the file is not whole or not such a log; the message names the line.
    """
    whole = 0
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                with contextlib.suppress(UnknownEvent):
                    yield decode(line)
                whole += 1
    except (OSError, EOFError, zlib.error, MalformedEvent) as error:
        raise ReplayLogBroken(f"{path} cannot be read beyond line {whole}: {error}") from error


def _packed(lines: Sequence[bytes]) -> bytes:
    """Return the lines compressed; the same lines always give the same bytes."""
    return gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)


def _chunk_name(number: int) -> str:
    return f"features-{number:05d}.jsonl.gz"
