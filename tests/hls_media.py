"""Small real HLS segments, made once in a test run."""

from __future__ import annotations

import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from ops.demo.live_stream import OriginSegment

_EXTINF = re.compile(r"#EXTINF:([0-9.]+)")


@cache
def ts_segments(
    *, seconds: int = 8, size: str = "160x90", video: bool = True, audio: bool = True
) -> tuple[OriginSegment, ...]:
    """Two-second MPEG-TS segments of a test picture and a tone."""
    return _segments("mpegts", seconds, size, video, audio)


@cache
def fmp4_segments(*, seconds: int = 8, size: str = "160x90") -> tuple[OriginSegment, ...]:
    """The same as fragmented MP4, with an init section."""
    return _segments("fmp4", seconds, size, True, True)


def _segments(
    kind: str, seconds: int, size: str, video: bool, audio: bool
) -> tuple[OriginSegment, ...]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    if video:
        command += ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=15:duration={seconds}"]
    if audio:
        command += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}:sample_rate=48000"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-bf", "0"]
    command += ["-c:a", "aac", "-b:a", "64k", "-threads", "1"]
    command += ["-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_segment_type", kind]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, "out.m3u8"], check=True, cwd=folder, timeout=60)
        text = (Path(folder) / "out.m3u8").read_text()
        init = None
        if kind == "fmp4":
            init = (Path(folder) / "init.mp4").read_bytes()
        names = [line for line in text.splitlines() if line and not line.startswith("#")]
        durations = [float(found) for found in _EXTINF.findall(text)]
        return tuple(
            OriginSegment(body=(Path(folder) / name).read_bytes(), duration_s=duration_s, init=init)
            for name, duration_s in zip(names, durations, strict=True)
        )
