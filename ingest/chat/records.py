"""The records of a chat file, one after the other, without ever holding the whole file.

A file is told by its content: gzip or not, a JSON document with an array of comments
(TwitchDownloader), a bare JSON array, or JSON lines.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import orjson

from ingest.chat.errors import ChatFileError

EXPECTED = (
    "expected the JSON of TwitchDownloader (`comments` with `content_offset_seconds`), or one "
    'JSON object a line such as {"t_s": 12.5, "user": "ana", "text": "clip that"}, plain or gzip'
)
MALFORMED = object()
"""Stands for a record that could not be decoded."""
MORE_LATER = object()
"""Stands for the end, so far, of a file that still grows."""

_HEAD_BYTES = 65_536
_READ_BYTES = 262_144
_BOM = b"\xef\xbb\xbf"
_COMMENTS = re.compile(r'"comments"\s*:\s*\[')
_KEY_CHARS = 256
_BETWEEN = re.compile(r"[\s,]*")


class RecordReader:
    """Reads one chat file from its beginning to its end, or as it grows."""

    def __init__(self, path: Path, *, growing: bool, record_bytes_max: int) -> None:
        """Open the file and look what it is.

        Args:
            path: the file.
            growing: JSON lines may still be appended; an empty file is none yet, not a wrong one.
            record_bytes_max: a longer record is malformed.

        Raises:
            ChatFileError: it cannot be read, is empty, or is no chat file at all.
        """
        self._path = path
        self._record_bytes_max = record_bytes_max
        try:
            self._file = _open(path)
            head = self._file.peek(_HEAD_BYTES)[:_HEAD_BYTES]
        except (OSError, EOFError, zlib.error) as error:
            raise ChatFileError(f"the chat file {path} cannot be read: {error}") from error
        self._growing = growing and isinstance(self._file, io.BufferedReader)
        start = head.removeprefix(_BOM).lstrip()
        self._is_document = _is_document(start)
        if not start and not self._growing:
            self._refuse("is empty")
        if start and not self._is_document and not start.startswith(b"{"):
            self._refuse("is no chat that is understood")

    def _refuse(self, why: str) -> None:
        self._file.close()
        raise ChatFileError(f"the chat file {self._path} {why}; {EXPECTED}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def records(self) -> Iterator[object]:
        """Yield decoded records, MALFORMED for bad ones, MORE_LATER at the end of a growing file.

        A file that breaks off (a cut download) gives what stands before the break.
        """
        return self._array() if self._is_document else self._lines()

    def _lines(self) -> Iterator[object]:
        skipping = False
        while True:
            begin = self._file.tell() if self._growing else 0
            try:
                line = self._file.readline(self._record_bytes_max)
            except (OSError, EOFError, zlib.error):
                yield MALFORMED
                return
            whole = line.endswith(b"\n")
            if self._growing and not whole and len(line) < self._record_bytes_max:
                self._file.seek(begin)
                yield MORE_LATER
                continue
            if not line:
                return
            cut = not whole and len(line) >= self._record_bytes_max
            if not skipping and line.strip() and line.strip() != _BOM:
                yield MALFORMED if cut else _decoded(line)
            skipping = cut

    def _array(self) -> Iterator[object]:
        """Decode the members of the document's array, a window of the text at a time."""
        decode = json.JSONDecoder().raw_decode
        text = self._text()
        window = ""
        for piece in text:
            window += piece
            found = _array_start(window)
            if found is not None:
                window = window[found:]
                break
            window = window[-_KEY_CHARS:]
        else:
            yield MALFORMED
            return
        ended = False
        while True:
            window = window[_end_of(_BETWEEN, window) :]
            if window.startswith("]"):
                return
            try:
                record, end = decode(window)
            except (ValueError, RecursionError):
                if ended or len(window) > self._record_bytes_max + _READ_BYTES:
                    yield MALFORMED
                    return
                piece = next(text, "")
                ended = not piece
                window += piece
                continue
            yield record
            window = window[end:]

    def _text(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        while True:
            try:
                chunk = self._file.read(_READ_BYTES)
            except (OSError, EOFError, zlib.error):
                return
            if not chunk:
                return
            yield decoder.decode(chunk)


def _open(path: Path) -> io.BufferedReader[io.FileIO] | gzip.GzipFile:
    file = io.BufferedReader(path.open("rb", buffering=0), _HEAD_BYTES)
    if file.peek(2)[:2] != b"\x1f\x8b":
        return file
    file.close()
    return gzip.open(path, "rb")


def _is_document(start: bytes) -> bool:
    """Return whether the file is one JSON document, by its beginning; else it is JSON lines."""
    if start.startswith(b"["):
        return True
    first_line = start.split(b"\n", 1)[0]
    if not start.startswith(b"{"):
        return False
    if _COMMENTS.search(first_line.decode("utf-8", "replace")):
        return True
    return not isinstance(_decoded(first_line), dict) and _looks_like_comments(start)


def _looks_like_comments(start: bytes) -> bool:
    """Return whether a beginning without a whole first record is that of a comments document."""
    keys = (b'"FileInfo"', b'"streamer"', b'"video"', b'"comments"', b'"clipper"')
    return any(key in start for key in keys)


def _array_start(window: str) -> int | None:
    if window.lstrip().startswith("["):
        return window.index("[") + 1
    found = _COMMENTS.search(window)
    return found.end() if found else None


def _decoded(line: bytes) -> object:
    try:
        return orjson.loads(line.removeprefix(_BOM))
    except orjson.JSONDecodeError:
        return MALFORMED


def _end_of(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0
