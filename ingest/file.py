"""A video file as a source: told in pieces of sound and key frames; cuts read the file itself."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from pathlib import Path

import av

from bus.events import SourceRef
from ingest.errors import SourceGone
from ingest.file_open import FileFacts, look_at
from ingest.file_pieces import FilePieces, Piece
from ingest.file_settings import FileSettings
from ingest.source import Notice, Pulled, Resume, SourceEnd, SourceGap, SourceInfo, SourceSegment
from ingest.span import WHOLE, Span

_log = logging.getLogger(__name__)

_REST_S = 0.05
"""A rest of a file that is shorter than a frame or two joins the piece before it."""


class FileSource:
    """A `Source` that reads a file; a piece's number is its place, so any run tells the same."""

    def __init__(
        self, path: Path, settings: FileSettings | None = None, *, span: Span = WHOLE
    ) -> None:
        """Read the file at `path`, or the pieces of it that touch `span`.

        It is opened by `describe`.
        """
        self._path = path
        self._span = span
        self._settings = settings or FileSettings()
        self._facts: FileFacts | None = None

    async def describe(self) -> SourceInfo:
        """Say what the file is; see `Source.describe`."""
        facts = await self._look()
        first, last = self._pick(facts)
        begin_s, end_s = self._times(facts, first)[0], self._times(facts, last - 1)[1]
        return SourceInfo(
            kind="file",
            title=facts.path.stem,
            source=str(self._path),
            broadcast_id=self._span.of(facts.digest),
            duration_s=end_s - begin_s,
            has_audio=facts.has_audio,
            has_video=facts.has_video,
            vod_start_s=begin_s,
        )

    async def pull(self, resume: Resume | None) -> AsyncGenerator[Pulled, None]:
        """Yield the file's pieces; see `Source.pull`."""
        facts = await self._look()
        begin, end = self._pick(facts)
        first = begin if resume is None else resume.seq + 1
        begin_s = (first - begin) * self._settings.segment_s
        try:
            pieces = await asyncio.to_thread(FilePieces, facts, self._settings)
        except (OSError, av.error.FFmpegError) as error:
            yield Notice(reason="file_gone", detail=str(error), media_s=begin_s)
            yield SourceEnd(reason="lost")
            return
        try:
            if first == begin:
                for notice in _notices(facts, pieces):
                    yield notice
            for number in range(first, end):
                made = await self._make(facts, pieces, number, begin)
                for pulled in made:
                    yield pulled
                if isinstance(made[-1], SourceEnd):
                    return
            yield SourceEnd()
        finally:
            pieces.close()

    async def _look(self) -> FileFacts:
        if self._facts is None:
            self._facts = await asyncio.to_thread(look_at, self._path, self._settings)
        return self._facts

    def _count(self, facts: FileFacts) -> int:
        return max(1, math.ceil((facts.duration_s - _REST_S) / self._settings.segment_s))

    def _times(self, facts: FileFacts, number: int) -> tuple[float, float]:
        """Return where a piece begins and ends in the file's own time."""
        begin_s = number * self._settings.segment_s
        is_last = number == self._count(facts) - 1
        return begin_s, facts.duration_s if is_last else begin_s + self._settings.segment_s

    def _pick(self, facts: FileFacts) -> tuple[int, int]:
        spans = [self._times(facts, number) for number in range(self._count(facts))]
        return self._span.pick([end_s - begin_s for begin_s, end_s in spans], str(self._path))

    async def _make(
        self, facts: FileFacts, pieces: FilePieces, number: int, first: int
    ) -> list[Pulled]:
        """Return what a piece gives: itself or a gap, with a notice where one is due."""
        begin_s, end_s = self._times(facts, number)
        media_s = begin_s - first * self._settings.segment_s
        try:
            await asyncio.to_thread(_still_there, facts)
            piece = await asyncio.to_thread(pieces.make, number)
        except (OSError, av.error.FFmpegError, SourceGone) as error:
            _log.warning("a file went away", extra={"path": str(facts.path), "error": str(error)})
            notice = Notice(
                reason="file_gone",
                detail=f"{facts.path} cannot be read any more: {error}",
                media_s=media_s,
            )
            return [notice, SourceEnd(reason="lost")]
        if not piece.is_real:
            return [
                SourceGap(
                    epoch=0,
                    seq=number,
                    media_s=media_s,
                    duration_s=end_s - begin_s,
                    reason="corrupt",
                    detail="the file breaks off before the end that it announces",
                )
            ]
        made = _segment(facts, piece, number, begin_s, end_s, media_s)
        return [*_piece_notices(piece, media_s), made]


def _segment(
    facts: FileFacts, piece: Piece, number: int, begin_s: float, end_s: float, media_s: float
) -> SourceSegment:
    return SourceSegment(
        epoch=0,
        seq=number,
        disc=0,
        media_s=media_s,
        duration_s=end_s - begin_s,
        container="matroska",
        body=piece.body,
        pts_s=begin_s,
        sense_only=True,
        source_ref=SourceRef(kind="file", uri=str(facts.path), start_s=begin_s, end_s=end_s),
    )


def _notices(facts: FileFacts, pieces: FilePieces) -> list[Notice]:
    notices = []
    if not facts.has_audio:
        notices.append(Notice(reason="no_audio", detail="the file has no sound", media_s=0.0))
    if not facts.has_video:
        notices.append(Notice(reason="audio_only", detail="the file has no picture", media_s=0.0))
    notices += [
        Notice(reason="unsupported_codec", detail=f"left out: {what}", media_s=0.0)
        for what in pieces.unsupported
    ]
    return notices


def _piece_notices(piece: Piece, media_s: float) -> list[Notice]:
    if not piece.is_cut:
        return []
    detail = "sound beyond the limit of one piece was left out"
    return [Notice(reason="segment_too_large", detail=detail, media_s=media_s)]


def _still_there(facts: FileFacts) -> None:
    """Notice that the file was taken away: what is open stays readable, but no cut could be made.

    Raises:
        SourceGone: it is not there, or another file stands in its place.
    """
    try:
        size_bytes = facts.path.stat().st_size
    except OSError as error:
        raise SourceGone(str(error)) from error
    if size_bytes != facts.size_bytes:
        raise SourceGone("the file has changed since it was opened")
