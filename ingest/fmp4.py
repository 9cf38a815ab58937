"""What the boxes of a fragmented MP4 segment say.

Law: walks boxes and reads no samples; a box that does not fit its parent is `BadSegment`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.continuity import Probe
from ingest.errors import BadSegment

_FIRST_BOXES = (b"ftyp", b"styp", b"moof", b"moov", b"sidx", b"emsg", b"prft", b"free", b"skip")
_BOXES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Track:
    """One track of an init section."""

    track_id: int
    timescale: int
    handler: bytes
    shift_s: float
    """What the edit list adds to the media's own timestamps."""


def looks_like_mp4(body: bytes) -> bool:
    """Tell whether the bytes begin with a box of the ISO base media format."""
    return len(body) >= 8 and body[4:8] in _FIRST_BOXES


def is_init(body: bytes) -> bool:
    """Tell whether the bytes are an initialisation section (a `moov` without fragments)."""
    try:
        kinds = {kind for kind, _, _ in _boxes(body, 0, len(body))}
    except BadSegment:
        return False
    return b"moov" in kinds and b"moof" not in kinds


def probe_fmp4(body: bytes, init: bytes | None) -> Probe:
    """Read the first timestamp, the duration and the parameters of a fragment.

    A segment may bring its own `moov`; else `init` holds it.

    Raises:
        BadSegment: it is no fragment, is cut short, or its init section is missing.
    """
    if not looks_like_mp4(body):
        raise BadSegment("the segment is neither a transport stream nor MP4")
    top = list(_boxes(body, 0, len(body)))
    kinds = [kind for kind, _, _ in top]
    if b"moof" not in kinds or b"mdat" not in kinds:
        raise BadSegment("the segment holds no movie fragment")
    head = body if b"moov" in kinds else init
    if head is None:
        raise BadSegment("the segment's init section is missing")
    tracks = {track.track_id: track for track in _tracks(head)}
    if not tracks:
        raise BadSegment("the init section announces no track")
    spans = _spans(body, top, tracks)
    handlers = {track.handler for track in tracks.values()}
    video = next((t for t in spans if tracks[t].handler == b"vide"), None)
    chosen = video if video is not None else next(iter(spans), None)
    return Probe(
        container="fmp4",
        pts_s=None if chosen is None else spans[chosen][0],
        duration_s=max((d for _, d in spans.values() if d is not None), default=None),
        signature=hashlib.blake2b(head if head is init else b"", digest_size=12).digest(),
        has_video=b"vide" in handlers,
        has_audio=b"soun" in handlers,
    )


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, payload start, payload end) of the boxes that follow each other."""
    at = start
    for _ in range(_BOXES_MAX):
        if at >= end:
            return
        if end - at < 8:
            raise BadSegment("a box is cut short")
        size = int.from_bytes(data[at : at + 4], "big")
        kind, head = data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise BadSegment(f"the box {kind!r} is cut short")
        yield kind, at + head, at + size
        at += size
    raise BadSegment("the segment has too many boxes")


def _find(data: bytes, start: int, end: int, *path: bytes) -> Iterator[tuple[int, int]]:
    """Yield the payloads of all boxes at a path below the span."""
    for kind, inner, stop in _boxes(data, start, end):
        if kind == path[0]:
            if len(path) == 1:
                yield inner, stop
            else:
                yield from _find(data, inner, stop, *path[1:])


def _tracks(init: bytes) -> Iterator[Track]:
    movie = next(_find(init, 0, len(init), b"moov", b"mvhd"), None)
    movie_scale = 0 if movie is None else _timescale(init, movie[0])
    for start, end in _find(init, 0, len(init), b"moov", b"trak"):
        headers = list(_find(init, start, end, b"tkhd"))
        media = list(_find(init, start, end, b"mdia", b"mdhd"))
        kinds = list(_find(init, start, end, b"mdia", b"hdlr"))
        if not (headers and media and kinds):
            continue
        at = headers[0][0]
        track_at = at + (20 if init[at] == 1 else 12)
        timescale = _timescale(init, media[0][0])
        if timescale:
            yield Track(
                int.from_bytes(init[track_at : track_at + 4], "big"),
                timescale,
                init[kinds[0][0] + 8 : kinds[0][0] + 12],
                _edit_shift(init, start, end, movie_scale, timescale),
            )


def _timescale(init: bytes, at: int) -> int:
    """Return the timescale of a movie or media header."""
    scale_at = at + (20 if init[at] == 1 else 12)
    return int.from_bytes(init[scale_at : scale_at + 4], "big")


def _edit_shift(init: bytes, start: int, end: int, movie_scale: int, timescale: int) -> float:
    """Return an empty edit's length less the media time at which the first real edit begins."""
    edits = next(_find(init, start, end, b"edts", b"elst"), None)
    if edits is None or not movie_scale:
        return 0.0
    at, wide = edits[0] + 8, 8 if init[edits[0]] == 1 else 4
    shift_s = 0.0
    while at + 2 * wide + 4 <= edits[1]:
        length = int.from_bytes(init[at : at + wide], "big")
        media_time = int.from_bytes(init[at + wide : at + 2 * wide], "big", signed=True)
        if media_time >= 0:
            return shift_s - media_time / timescale
        shift_s += length / movie_scale
        at += 2 * wide + 4
    return shift_s


def _spans(
    body: bytes, top: list[tuple[bytes, int, int]], tracks: dict[int, Track]
) -> dict[int, tuple[float, float | None]]:
    """Return each track's first timestamp and duration, in seconds."""
    firsts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for kind, start, end in top:
        if kind != b"moof":
            continue
        for inner, stop in _find(body, start, end, b"traf"):
            _read_track_fragment(body, inner, stop, firsts, ends)
    return {
        track: (
            first / tracks[track].timescale + tracks[track].shift_s,
            (ends[track] - first) / tracks[track].timescale if ends[track] > first else None,
        )
        for track, first in firsts.items()
        if track in tracks
    }


def _read_track_fragment(
    body: bytes, start: int, end: int, firsts: dict[int, int], ends: dict[int, int]
) -> None:
    header = next(_find(body, start, end, b"tfhd"), None)
    decode = next(_find(body, start, end, b"tfdt"), None)
    if header is None or decode is None:
        return
    track = int.from_bytes(body[header[0] + 4 : header[0] + 8], "big")
    at = decode[0]
    size = 8 if body[at] == 1 else 4
    base = int.from_bytes(body[at + 4 : at + 4 + size], "big")
    default = _default_duration(body, header[0])
    time, first = base, None
    for run_start, _ in _find(body, start, end, b"trun"):
        time, offset = _read_run(body, run_start, time, default)
        first = offset + base if first is None and offset is not None else first
    firsts.setdefault(track, base if first is None else first)
    ends[track] = max(ends.get(track, 0), time)


def _default_duration(body: bytes, at: int) -> int:
    flags = int.from_bytes(body[at + 1 : at + 4], "big")
    if not flags & 0x08:
        return 0
    offset = at + 8 + (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0)
    return int.from_bytes(body[offset : offset + 4], "big")


def _read_run(body: bytes, at: int, time: int, default: int) -> tuple[int, int | None]:
    """Return the decode time behind a run and its first sample's composition offset."""
    version = body[at]
    flags = int.from_bytes(body[at + 1 : at + 4], "big")
    count = min(int.from_bytes(body[at + 4 : at + 8], "big"), 100_000)
    at += 8 + (4 if flags & 0x001 else 0) + (4 if flags & 0x004 else 0)
    before = (4 if flags & 0x100 else 0) + (4 if flags & 0x200 else 0) + (4 if flags & 0x400 else 0)
    width = before + (4 if flags & 0x800 else 0)
    if at + count * width > len(body):
        raise BadSegment("a sample table is cut short")
    offset = None
    if flags & 0x800 and count:
        raw = body[at + before : at + before + 4]
        offset = int.from_bytes(raw, "big", signed=version == 1)
    if flags & 0x100:
        for sample in range(count):
            here = at + sample * width
            time += int.from_bytes(body[here : here + 4], "big")
    else:
        time += count * default
    return time, offset
