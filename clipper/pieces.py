"""The segments of a session as the cutter sees them.

Law: pure. Pieces are in order of the media clock; a hole between two is a hole in the media.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bus.events import Container, SegmentMissing, SegmentStored, SourceRef

_EDGE_S = 0.12
"""Sound and picture of neighbours overlap by about this much at their seam."""
_HOLE_S = 0.25
"""Pieces further apart than this do not follow each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One segment: what is needed to find its media again. `missing` says why there is none."""

    epoch: int
    seq: int
    disc: int
    media_s: float
    end_s: float
    pts_s: float | None = None
    container: Container = "ts"
    object_key: str | None = None
    init_key: str | None = None
    sense_only: bool = False
    source_ref: SourceRef | None = None
    missing: str = ""
    muted: bool = False


def to_piece(event: SegmentStored | SegmentMissing) -> Piece:
    """Keep of a segment event what a cut needs; strings that repeat are shared."""
    if isinstance(event, SegmentMissing):
        return Piece(
            epoch=event.epoch,
            seq=event.seq,
            disc=-1,
            media_s=event.media_s,
            end_s=event.end_s,
            missing=event.reason,
        )
    reference = event.source_ref
    if reference is not None:
        reference = replace(
            reference,
            uri=sys.intern(reference.uri),
            init_uri=_shared(reference.init_uri),
            key_uri=_shared(reference.key_uri),
        )
    return Piece(
        epoch=event.epoch,
        seq=event.seq,
        disc=event.disc,
        media_s=event.media_s,
        end_s=event.end_s,
        pts_s=event.pts_s,
        container=event.container,
        object_key=event.object_key,
        init_key=_shared(event.init_key),
        sense_only=event.sense_only,
        source_ref=reference,
        muted=event.muted,
    )


def _shared(text: str | None) -> str | None:
    return None if text is None else sys.intern(text)


def holding(pieces: Sequence[Piece], start_s: float, end_s: float, lead_s: float) -> list[Piece]:
    """Return the stored pieces that may hold presented frames of [start_s, end_s), and `lead_s`
    of media before them, where the key frame may stand that the first frame needs."""
    return [
        piece
        for piece in pieces
        if not piece.missing
        and piece.end_s > start_s - _EDGE_S - lead_s
        and piece.media_s < end_s + _EDGE_S
    ]


def seconds_muted(pieces: Sequence[Piece], start_s: float, end_s: float) -> float:
    """Return how many seconds of [start_s, end_s) have had their sound taken off."""
    spans = [
        min(end_s, piece.end_s) - max(start_s, piece.media_s) for piece in pieces if piece.muted
    ]
    return round(sum(max(0.0, span_s) for span_s in spans), 3)


def runs(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Split stored pieces into runs whose bytes or span can be read as one."""
    parted: list[list[Piece]] = []
    for piece in pieces:
        if parted and _follows(parted[-1][-1], piece):
            parted[-1].append(piece)
        else:
            parted.append([piece])
    return parted


def _follows(before: Piece, piece: Piece) -> bool:
    return (
        (before.epoch, before.disc, before.container) == (piece.epoch, piece.disc, piece.container)
        and before.init_key == piece.init_key
        and before.seq < piece.seq
        and abs(before.end_s - piece.media_s) <= _HOLE_S
        and _origin(before) == _origin(piece)
    )


def _origin(piece: Piece) -> tuple[str | None, ...]:
    """Pieces of one file are read together; so are those with the same initialisation section."""
    reference = piece.source_ref
    if reference is None:
        return ("ring",)
    if reference.kind == "file":
        return ("file", reference.uri)
    return ("hls", reference.init_uri, str(reference.init_offset))
