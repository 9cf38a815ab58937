"""What can be set about file sources."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSettings:
    """How a video file is read."""

    segment_s: float = 10.0
    """Length of the pieces that a file is told in."""
    frame_every_s: float = 30.0
    """One key frame is taken every so many seconds; a multiple of `segment_s`."""
    segment_bytes_max: int = 64_000_000
    """A piece's audio and key frame are cut off beyond so many bytes."""
    duration_max_s: float = 172_800.0
    """A longer file is refused: two days."""
    streams_max: int = 64
    """A file with more streams is refused."""
    seek_packets_max: int = 20_000
    """After a seek a key frame is looked for in at most so many packets."""
