"""Reads a clip's segments: from the ring, or again from where they came from.

Law: it touches the object store and the network and decides nothing about the clip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clipper.errors import CutFailed
from clipper.pieces import Piece
from clipper.settings import CutSettings
from store.errors import FetchError, ObjectMissing, StoreError
from store.fetch import Fetcher
from store.objects import Objects
from store.source import SourceBytes, read_source

_RETRY_FIRST_S = 0.3


@dataclass(frozen=True, slots=True)
class RunBytes:
    """Segments that follow each other, in memory."""

    pieces: tuple[Piece, ...]
    init: bytes | None
    bodies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RunFile:
    """A span of a file."""

    pieces: tuple[Piece, ...]
    path: Path


Material = RunBytes | RunFile


class Materials:
    """The media of one clip; each segment is read once."""

    def __init__(self, objects: Objects, fetcher: Fetcher, settings: CutSettings) -> None:
        self._objects = objects
        self._fetcher = fetcher
        self._settings = settings
        self._read: dict[tuple[int, int], SourceBytes] = {}
        self._inits: dict[str, bytes] = {}
        self._turns = asyncio.Semaphore(settings.reads_at_once)

    async def run(self, pieces: Sequence[Piece]) -> Material:
        """Read pieces that follow each other.

        Raises:
            CutFailed: `source_gone` when a segment is in neither place, `too_large` when they
                are larger than the limit.
        """
        reference = pieces[0].source_ref
        if reference is not None and reference.kind == "file":
            path = Path(reference.uri)
            if not await asyncio.to_thread(path.is_file):
                raise CutFailed("source_gone", f"the file {path} is not there any more")
            return RunFile(tuple(pieces), path)
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(self._piece(piece)) for piece in pieces]
        found = [read.result() for read in reads]
        if sum(len(each.body) for each in found) > self._settings.segment_max_bytes:
            raise CutFailed("too_large", "the clip's segments are larger than the limit")
        return RunBytes(tuple(pieces), found[0].init, tuple(each.body for each in found))

    async def _piece(self, piece: Piece) -> SourceBytes:
        at = (piece.epoch, piece.seq)
        if at not in self._read:
            async with self._turns:
                self._read[at] = await self._ring(piece) or await self._source(piece)
        return self._read[at]

    async def _ring(self, piece: Piece) -> SourceBytes | None:
        if piece.object_key is None or piece.sense_only:
            return None
        try:
            init = await self._init(piece.init_key) if piece.init_key else None
            return SourceBytes(init=init, body=await self._objects.get(piece.object_key))
        except ObjectMissing:
            return None

    async def _init(self, key: str) -> bytes:
        if key not in self._inits:
            self._inits[key] = await self._objects.get(key)
        return self._inits[key]

    async def _source(self, piece: Piece) -> SourceBytes:
        reference = piece.source_ref
        if reference is None:
            raise CutFailed(
                "source_gone",
                f"the ring has let segment {piece.epoch}-{piece.seq} go, and it has no source",
            )
        failure = ""
        for attempt in range(self._settings.read_tries):
            if attempt:
                await asyncio.sleep(_RETRY_FIRST_S * 2 ** (attempt - 1))
            try:
                return await read_source(reference, self._fetcher)
            except (FetchError, StoreError) as error:
                failure = str(error)
        raise CutFailed("source_gone", failure)
