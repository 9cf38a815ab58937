"""What the bytes of an MPEG transport stream say, read without a demuxer.

Law: reads packet headers and the first frames only; whatever is not a whole transport stream is
`BadSegment`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.clock import PTS_WRAP_S
from ingest.continuity import Probe
from ingest.errors import BadSegment

PACKET_BYTES = 188
SYNC = 0x47

VIDEO_TYPES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x33})
AUDIO_TYPES = frozenset({0x03, 0x04, 0x0F, 0x11, 0x81, 0x87})
_H264 = 0x1B
_HEVC = 0x24
_PARAMETER_PACKETS = 24

Rows = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stream:
    """One elementary stream of the programme."""

    pid: int
    stream_type: int


def looks_like_ts(body: bytes) -> bool:
    """Tell whether the bytes begin as a transport stream does."""
    return bool(body) and all(
        body[at] == SYNC for at in range(0, min(len(body), 3 * PACKET_BYTES), PACKET_BYTES)
    )


def probe_ts(body: bytes) -> Probe:
    """Read streams, first timestamp, duration and parameters of a segment.

    Raises:
        BadSegment: it is no transport stream, is cut short, or holds no programme.
    """
    if not looks_like_ts(body):
        raise BadSegment("the segment is no transport stream")
    if len(body) % PACKET_BYTES:
        raise BadSegment("the segment is cut short: its last packet is not whole")
    rows = np.frombuffer(body, np.uint8).reshape(-1, PACKET_BYTES)
    if not bool((rows[:, 0] == SYNC).all()):
        raise BadSegment("the segment has lost packet sync")
    pids = ((rows[:, 1] & 0x1F).astype(np.int32) << 8) | rows[:, 2]
    starts = (rows[:, 1] & 0x40) != 0
    streams = _programme(rows, pids, starts)
    if not streams:
        raise BadSegment("the segment announces no programme")
    video = next((s for s in streams if s.stream_type in VIDEO_TYPES), None)
    audio = next((s for s in streams if s.stream_type in AUDIO_TYPES), None)
    spans = [
        span
        for stream in (video, audio)
        if stream is not None
        and (span := _timestamps(rows[(pids == stream.pid) & starts])) is not None
    ]
    if not spans:
        raise BadSegment("the segment holds no timestamped picture or sound")
    durations = [duration_s for _, duration_s in spans if duration_s is not None]
    return Probe(
        container="ts",
        pts_s=spans[0][0],
        duration_s=max(durations, default=None),
        signature=_signature(rows, pids, streams, video),
        has_video=video is not None,
        has_audio=audio is not None,
    )


def _payload(row: Rows) -> bytes:
    """Return what stands behind a packet's header and adaptation field."""
    control = (int(row[3]) >> 4) & 3
    start = 4
    if control & 2:
        start += 1 + int(row[4])
    return row[start:].tobytes() if control & 1 and start < PACKET_BYTES else b""


def _section(rows: Rows, pids: NDArray[np.int32], starts: NDArray[np.bool_], pid: int) -> bytes:
    """Return the first table section of a PID, its header included; empty when there is none."""
    found = np.flatnonzero(pids == pid)
    first = next((i for i, at in enumerate(found) if starts[at]), None)
    if first is None:
        return b""
    payload = _payload(rows[found[first]])
    if not payload:
        return b""
    section = payload[1 + payload[0] :]
    if len(section) < 3:
        return b""
    size = 3 + (((section[1] & 0x0F) << 8) | section[2])
    for at in found[first + 1 : first + 6]:
        if len(section) >= size:
            break
        section += _payload(rows[at])
    return section[:size]


def _programme(rows: Rows, pids: NDArray[np.int32], starts: NDArray[np.bool_]) -> list[Stream]:
    """Return the elementary streams of the first programme."""
    table = _section(rows, pids, starts, 0)
    for at in range(8, len(table) - 7, 4):
        number = (table[at] << 8) | table[at + 1]
        if number:
            map_pid = ((table[at + 2] & 0x1F) << 8) | table[at + 3]
            return _streams(_section(rows, pids, starts, map_pid))
    return []


def _streams(table: bytes) -> list[Stream]:
    if len(table) < 16:
        return []
    at = 12 + (((table[10] & 0x0F) << 8) | table[11])
    streams = []
    while at + 5 <= len(table) - 4:
        pid = ((table[at + 1] & 0x1F) << 8) | table[at + 2]
        streams.append(Stream(pid, table[at]))
        at += 5 + (((table[at + 3] & 0x0F) << 8) | table[at + 4])
    return streams


def _timestamps(heads: Rows) -> tuple[float, float | None] | None:
    """Return the lowest timestamp of a stream's packets and the span that they cover."""
    stamps = [pts for row in heads if (pts := _pts(_payload(row))) is not None]
    if not stamps:
        return None
    turn = 1 << 33
    first = stamps[0]
    offsets = sorted((pts - first + turn // 2) % turn - turn // 2 for pts in stamps)
    first_s = (first + offsets[0]) / 90_000 % PTS_WRAP_S
    span_s = (offsets[-1] - offsets[0]) / 90_000
    count = len(set(offsets))
    return first_s, span_s * count / (count - 1) if count > 1 else None


def _pts(payload: bytes) -> int | None:
    if len(payload) < 14 or payload[:3] != b"\x00\x00\x01" or not payload[7] & 0x80:
        return None
    b = payload[9:14]
    return ((b[0] >> 1) & 7) << 30 | b[1] << 22 | (b[2] >> 1) << 15 | b[3] << 7 | (b[4] >> 1)


def _signature(
    rows: Rows, pids: NDArray[np.int32], streams: list[Stream], video: Stream | None
) -> bytes:
    """Digest what a decoder must know: the streams and the picture's parameter set."""
    digest = hashlib.blake2b(digest_size=12)
    for stream in streams:
        digest.update(stream.pid.to_bytes(2, "big") + bytes([stream.stream_type]))
    if video is not None:
        first = np.flatnonzero(pids == video.pid)[:_PARAMETER_PACKETS]
        head = b"".join(_payload(rows[at]) for at in first)
        digest.update(_parameters(head, video.stream_type))
    return digest.digest()


def _parameters(head: bytes, stream_type: int) -> bytes:
    """Return the first sequence parameter set of H.264 or HEVC, empty when none is found."""
    at = head.find(b"\x00\x00\x01")
    while 0 <= at < len(head) - 4:
        nal = head[at + 3]
        wanted = (stream_type == _H264 and nal & 0x1F == 7) or (
            stream_type == _HEVC and (nal >> 1) & 0x3F == 33
        )
        after = head.find(b"\x00\x00\x01", at + 3)
        if wanted:
            return head[at + 3 : after if after > 0 else len(head)].rstrip(b"\x00")
        at = after
    return b""
