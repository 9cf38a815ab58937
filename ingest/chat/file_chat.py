"""Chat from a file: beside a VOD, or one that grows while a stream is live."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Iterator
from pathlib import Path

from ingest.chat.errors import ChatFileError
from ingest.chat.line import ChatLine
from ingest.chat.record import GapRecord, parse_record
from ingest.chat.records import EXPECTED, MALFORMED, MORE_LATER, RecordReader
from ingest.chat.settings import FileChatSettings
from ingest.chat.source import ChatBatch

_log = logging.getLogger(__name__)

_JUDGED_AFTER = 50
"""A file whose first so many records are all malformed is no chat file."""


class FileChat:
    """A `ChatSource` that reads a chat file as far as it is asked to."""

    def __init__(
        self, path: Path, *, live: bool = False, settings: FileChatSettings | None = None
    ) -> None:
        """Read `path`; when `live`, wait for it to appear and to grow.

        A live file's lines are put on the media clock by the time at which they were sent, where
        they tell it (`sent_ms`); everything else stands at its `t_s`.
        """
        self._path = path
        self._live = live
        self._settings = settings or FileChatSettings()
        self._wall_start_s: float | None = None
        self._reader: RecordReader | None = None
        self._records: Iterator[object] = iter(())
        self._ended = False
        self._pending: list[tuple[float, int, ChatLine]] = []
        self._gaps: set[int] = set()
        self._read = 0
        self._malformed = 0
        self._reported = 0
        self._newest_s = -math.inf

    @property
    def end_s(self) -> float | None:
        """Media time of the file's last line, once the whole file has been read."""
        if not self._ended:
            return None
        return max(self._newest_s, 0.0)

    @property
    def malformed(self) -> int:
        """Records that were skipped so far because they could not be understood."""
        return self._malformed

    async def open(self, wall_start_s: float | None) -> None:
        """Open the file; see `ChatSource.open`."""
        self._wall_start_s = wall_start_s
        await asyncio.to_thread(self._open)

    async def drain(self, until_s: float) -> ChatBatch:
        """Return the lines before `until_s`; see `ChatSource.drain`."""
        return await asyncio.to_thread(self._drain, until_s)

    async def close(self) -> None:
        """Close the file."""
        if self._reader is None:
            return
        self._reader.close()
        self._reader = None
        self._records = iter(())
        if self._malformed:
            _log.warning(
                "lines of the chat file were skipped",
                extra={"path": str(self._path), "skipped": self._malformed, "read": self._read},
            )

    def _open(self) -> None:
        if self._live and not self._path.exists():
            return
        self._reader = RecordReader(
            self._path,
            growing=self._live,
            record_bytes_max=self._settings.line_bytes_max,
        )
        self._records = self._reader.records()

    def _drain(self, until_s: float) -> ChatBatch:
        if self._reader is None:
            self._open()
        ready: list[ChatLine] = []
        while self._newest_s < until_s + self._settings.sort_span_s:
            if len(self._pending) >= self._settings.sort_lines_max:
                released = self._release(until_s)
                if not released:
                    break
                ready += released
            if not self._read_one():
                break
        ready += self._release(until_s)
        gaps = frozenset(second for second in self._gaps if second < until_s)
        self._gaps -= gaps
        dropped = self._malformed - self._reported
        self._reported = self._malformed
        return ChatBatch(
            lines=tuple(ready),
            connected=self._reader is not None,
            gap_seconds=gaps,
            dropped=dropped,
        )

    def _release(self, until_s: float) -> list[ChatLine]:
        ready = []
        while self._pending and self._pending[0][0] < until_s:
            ready.append(heapq.heappop(self._pending)[2])
        return ready

    def _read_one(self) -> bool:
        """Take the next record in; return False when there is none at the moment."""
        record = next(self._records, None)
        if record is MORE_LATER:
            return False
        if record is None:
            self._ended = not self._live
            if self._malformed and not self._read:
                raise self._wrong()
            return False
        line = (
            None
            if record is MALFORMED
            else parse_record(record, wall_start_s=self._wall_start_s, by_wall_clock=self._live)
        )
        if line is None:
            self._malformed += 1
            if self._malformed >= _JUDGED_AFTER and not self._read:
                raise self._wrong()
            return True
        self._read += 1
        if isinstance(line, GapRecord):
            self._gaps.add(line.second)
            return True
        self._newest_s = max(self._newest_s, line.t_s)
        heapq.heappush(self._pending, (line.t_s, self._read, line))
        return True

    def _wrong(self) -> ChatFileError:
        if self._reader is not None:
            self._reader.close()
        return ChatFileError(
            f"no line of the chat file {self._path} is understood "
            f"({self._malformed} were tried); {EXPECTED}"
        )
