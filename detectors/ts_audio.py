"""Picks the packets that matter out of an MPEG transport stream, before anything is demuxed.

Law: a segment is a view of 188-byte rows; nothing is copied but the rows that are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.errors import CorruptMedia

PACKET_BYTES = 188
_SYNC = 0x47
_PAT_PID = 0
_PAYLOAD_START = 0x40
_RANDOM_ACCESS = 0x40
_AUDIO_TYPES = frozenset({0x03, 0x04, 0x0F, 0x11, 0x1C, 0x81, 0x87})
_VIDEO_TYPES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x33})

Rows = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Program:
    """Where the first program's tables and streams are; a PID is None when it has no such one."""

    pmt_pid: int
    audio_pid: int | None
    video_pid: int | None


def packet_rows(body: bytes) -> Rows:
    """Return the segment as (packets, 188) without copying; a torn last packet is left out.

    Raises:
        CorruptMedia: these are not transport stream packets.
    """
    count = len(body) // PACKET_BYTES
    rows = np.frombuffer(body, np.uint8, count * PACKET_BYTES).reshape(count, PACKET_BYTES)
    if count == 0 or not (rows[:, 0] == _SYNC).all():
        raise CorruptMedia("the segment is not a row of 188-byte transport stream packets")
    return rows


def packet_pids(rows: Rows) -> NDArray[np.uint16]:
    """Return the PID of each packet."""
    pids = (rows[:, 1] & 0x1F).astype(np.uint16)
    pids *= 256
    pids |= rows[:, 2]
    return pids


def read_program(rows: Rows, pids: NDArray[np.uint16]) -> Program:
    """Return the PIDs of the first program.

    Raises:
        CorruptMedia: the segment has no readable PAT or PMT.
    """
    pat = _section(rows, pids, _PAT_PID)
    entries = (
        (pat[at] << 8 | pat[at + 1], (pat[at + 2] & 0x1F) << 8 | pat[at + 3])
        for at in range(8, len(pat) - 4 - 3, 4)
    )
    pmt_pid = next((pid for number, pid in entries if number != 0), None)
    if pmt_pid is None:
        raise CorruptMedia("the segment's program table names no program")
    audio_pid, video_pid = _streams(_section(rows, pids, pmt_pid))
    return Program(pmt_pid, audio_pid, video_pid)


def audio_packets(rows: Rows, pids: NDArray[np.uint16], program: Program) -> bytes:
    """Return the tables and the audio packets alone; empty when there is no audio."""
    if program.audio_pid is None:
        return b""
    keep = (pids == program.audio_pid) | (pids == program.pmt_pid) | (pids == _PAT_PID)
    return bytes(rows[keep].data)


def picture_packets(rows: Rows, pids: NDArray[np.uint16], program: Program) -> bytes:
    """Return the tables and the first key frame with the frame after it; empty without video.

    The frame after it closes the key frame for demuxers that wait for the next start.
    """
    if program.video_pid is None:
        return b""
    of_video = np.flatnonzero(pids == program.video_pid)
    starts = of_video[(rows[of_video, 1] & _PAYLOAD_START) != 0]
    if not len(starts):
        return b""
    has_flags = ((rows[starts, 3] & 0x20) != 0) & (rows[starts, 4] > 0)
    keys = starts[has_flags & ((rows[starts, 5] & _RANDOM_ACCESS) != 0)]
    first = keys[0] if len(keys) else starts[0]
    later = starts[starts > first]
    last = later[1] if len(later) > 1 else len(rows)
    video = of_video[(of_video >= first) & (of_video < last)]
    tables = _table_rows(pids, program)
    return bytes(rows[np.concatenate([tables, video])].data)


def _table_rows(pids: NDArray[np.uint16], program: Program) -> NDArray[np.intp]:
    """Return the first PAT and the packets of the first PMT, in order."""
    pat = np.flatnonzero(pids == _PAT_PID)[:1]
    pmt = np.flatnonzero(pids == program.pmt_pid)[:2]
    return np.concatenate([pat, pmt])


def _section(rows: Rows, pids: NDArray[np.uint16], pid: int) -> bytes:
    """Return the first table section that starts under this PID, joined over packets."""
    section = b""
    wanted = 0
    for row in rows[pids == pid][:16]:
        starts = bool(row[1] & _PAYLOAD_START)
        if not starts and not section:
            continue
        if starts and section:
            break
        payload = _payload(row)
        if starts and payload:
            payload = payload[1 + payload[0] :]
            wanted = 3 + ((payload[1] & 0x0F) << 8 | payload[2]) if len(payload) > 2 else 0
        section += payload
        if wanted and len(section) >= wanted:
            return section[:wanted]
    raise CorruptMedia(f"the segment has no whole table under PID {pid}")


def _payload(row: NDArray[np.uint8]) -> bytes:
    control = int(row[3]) >> 4 & 3
    at = 4
    if control & 2:
        at += 1 + int(row[4])
    return bytes(row[at:].data) if control & 1 else b""


def _streams(pmt: bytes) -> tuple[int | None, int | None]:
    """Return the first audio and the first video PID of a PMT section."""
    if len(pmt) < 16:
        raise CorruptMedia("the segment's stream table is too short")
    audio: int | None = None
    video: int | None = None
    private: int | None = None
    at = 12 + ((pmt[10] & 0x0F) << 8 | pmt[11])
    while at + 5 <= len(pmt) - 4:
        kind = pmt[at]
        pid = (pmt[at + 1] & 0x1F) << 8 | pmt[at + 2]
        if kind in _AUDIO_TYPES and audio is None:
            audio = pid
        elif kind in _VIDEO_TYPES and video is None:
            video = pid
        elif kind == 0x06 and private is None:
            private = pid
        at += 5 + ((pmt[at + 3] & 0x0F) << 8 | pmt[at + 4])
    return (private if audio is None else audio), video
