"""The raw chat of a session, kept as JSON lines in gzip chunks beside its other things.

Each chunk is a chat file that `FileChat` reads; so are the chunks of a session one after the
other. A line stands at the time at which it was counted, and seconds in which the reader was cut
off are told, so that the log gives the very windows of the run that wrote it.
"""

from __future__ import annotations

import asyncio
import gzip

import orjson

from ingest.chat.record import GapRecord, parse_record, to_json
from ingest.chat.settings import ChatLogSettings
from ingest.chat.window import Taken
from store.keys import session_key
from store.objects import Objects

_COMPRESSION = 6


class ChatLog:
    """Writes one session's chat log; a chunk is visible whole or not at all."""

    def __init__(
        self,
        objects: Objects,
        *,
        tenant_id: str,
        session_id: str,
        settings: ChatLogSettings | None = None,
    ) -> None:
        self._objects = objects
        self._names = (tenant_id, session_id)
        self._settings = settings or ChatLogSettings()
        self._chunk = 1
        self._records: list[bytes] = []
        self._is_dirty = False
        self._flushed_s = 0.0

    async def open(self, first_s: float = 0.0) -> None:
        """Begin, or go on after an earlier run whose windows have closed up to `first_s`."""
        self._flushed_s = first_s
        if first_s <= 0.0:
            return
        folder = self._key(1).rpartition("/")[0]
        prefix = self._key(1).removesuffix("0001.jsonl.gz")
        chunks = [
            entry.key for entry in await self._objects.list(folder) if entry.key.startswith(prefix)
        ]
        if not chunks:
            return
        self._chunk = len(chunks)
        body = await self._objects.get(self._key(self._chunk))
        text = await asyncio.to_thread(gzip.decompress, body)
        self._records = [
            record for record in text.splitlines(keepends=True) if _time_s(record) < first_s
        ]

    async def append(self, taken: Taken, until_s: float) -> None:
        """Add what was counted; written out every `flush_s` of media.

        Raises:
            StorageFull: no space is left.
        """
        before = len(self._records)
        self._records += [to_json(line) for line in taken.counted]
        self._records += [
            orjson.dumps({"gap_s": int(window.media_s)}, option=orjson.OPT_APPEND_NEWLINE)
            for window in taken.windows
            if window.gap
        ]
        self._is_dirty = self._is_dirty or len(self._records) > before
        if until_s - self._flushed_s >= self._settings.flush_s:
            self._flushed_s = until_s
            await self.flush()

    async def flush(self) -> None:
        """Write what has not been written; full chunks are left behind for good.

        Raises:
            StorageFull: no space is left.
        """
        chunk_lines = self._settings.chunk_lines_max
        while self._is_dirty:
            body = await asyncio.to_thread(
                gzip.compress, b"".join(self._records[:chunk_lines]), _COMPRESSION, mtime=0
            )
            await self._objects.put(self._key(self._chunk), body)
            self._is_dirty = len(self._records) > chunk_lines
            if len(self._records) >= chunk_lines:
                self._records = self._records[chunk_lines:]
                self._chunk += 1

    def _key(self, chunk: int) -> str:
        tenant_id, session_id = self._names
        return session_key(tenant_id, session_id, f"chat-{chunk:04d}.jsonl.gz")


def _time_s(record: bytes) -> float:
    line = parse_record(orjson.loads(record), wall_start_s=None, by_wall_clock=False)
    if isinstance(line, GapRecord):
        return float(line.second)
    return line.t_s if line else 0.0
