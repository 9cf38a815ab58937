"""Finds what a picture's decoder was set up with, and the tables of a transport stream.

Law: pure; works on the bytes of one packet.
"""

from __future__ import annotations

import re

TS_PACKET = 188
_START_CODE = re.compile(b"\x00\x00\x01")
_HEAD_BYTES = 4096
_H264_SPS = 7
_HEVC_SPS = 33


def sequence_parameters(packet: bytes, codec: str) -> bytes:
    """Return the sequence parameter set in an Annex B packet; empty when it holds none.

    Args:
        packet: a key frame's bytes; only their beginning is looked at.
        codec: `h264` or `hevc`; of any other the answer is empty.
    """
    if codec not in ("h264", "hevc"):
        return b""
    head = packet[:_HEAD_BYTES]
    starts = [match.end() for match in _START_CODE.finditer(head)]
    for at, start in enumerate(starts):
        end = starts[at + 1] - 3 if at + 1 < len(starts) else len(head)
        unit = head[start:end].rstrip(b"\x00")
        if unit and _is_sps(unit[0], codec):
            return unit
    return b""


def _is_sps(header: int, codec: str) -> bool:
    if codec == "h264":
        return header & 0x1F == _H264_SPS
    return header >> 1 & 0x3F == _HEVC_SPS


def tables_of(stream: bytes) -> bytes:
    """Return the first PAT and PMT packets of a transport stream; a tail of it needs them."""
    pat, pmt, pmt_pid = b"", b"", -1
    for at in range(0, len(stream) - TS_PACKET + 1, TS_PACKET):
        packet = stream[at : at + TS_PACKET]
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        if pid == 0 and not pat and packet[1] & 0x40:
            pat, pmt_pid = packet, _first_pmt(packet)
        elif pid == pmt_pid and packet[1] & 0x40:
            pmt = packet
            break
    return pat + pmt


def _first_pmt(packet: bytes) -> int:
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    section = packet[start + 1 + packet[start] :]
    for at in range(8, len(section) - 3, 4):
        if section[at] << 8 | section[at + 1]:
            return (section[at + 2] & 0x1F) << 8 | section[at + 3]
    return -1
