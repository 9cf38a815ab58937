"""A stream that tells its own time: each picture carries its number, each whole second beeps.

The number stands twice: as 24 black or white blocks for a machine, as digits for a person.
"""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bus.events import SegmentStored

WIDTH, HEIGHT = 384, 216
BITS = 24
RATE = 48_000
BEEP_S = 0.1
_ROW = 12


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Return a grey picture (height, width) that carries a number."""
    block_w, block_h = width // _ROW, height // 6
    canvas = Image.new("L", (width, height), 90)
    draw = ImageDraw.Draw(canvas)
    for bit in range(BITS):
        x, y = bit % _ROW * block_w, bit // _ROW * block_h
        draw.rectangle(
            (x, y, x + block_w - 1, y + block_h - 1), fill=255 if number >> bit & 1 else 0
        )
    draw.text((width // 3, height // 2), str(number), fill=255)
    x = number * 4 % width
    draw.rectangle((x, height - 24, x + 16, height - 4), fill=200)
    return np.asarray(canvas)


def read_number(grey: NDArray[np.uint8]) -> int:
    """Return the number that a picture of any size carries, black bars around it cut away."""
    height, width = grey.shape
    block_w, block_h = width / _ROW, height / 6
    number = 0
    for bit in range(BITS):
        x, y = (bit % _ROW + 0.5) * block_w, (bit // _ROW + 0.5) * block_h
        number |= int(grey[int(y), int(x)] > 128) << bit
    return number


def write_sound(path: Path, seconds: float) -> None:
    """Write a WAV file that beeps (1 kHz, 100 ms) at each whole second."""
    at = np.arange(round(seconds * RATE)) / RATE
    sound = np.where(at % 1.0 < BEEP_S, 0.5 * np.sin(2 * np.pi * 1000 * at), 0.0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How the stream is encoded."""

    fps: int = 30
    width: int = WIDTH
    height: int = HEIGHT
    open_gop: bool = False
    b_frames: int = 3
    codec: str = "libx264"
    sound: bool = True
    group_s: float = 2.0
    offset_s: float = 0.0
    """Added to every timestamp."""

    def video_options(self) -> list[str]:
        """Return the encoder's part of an ffmpeg command."""
        group = round(self.group_s * self.fps)
        options = ["-c:v", self.codec, "-g", str(group), "-pix_fmt", "yuv420p"]
        if self.codec == "libx264":
            flags = f"keyint={group}:min-keyint={group}:scenecut=0:open-gop={int(self.open_gop)}"
            flags += ":repeat-headers=1"
            options += ["-preset", "veryfast", "-bf", str(self.b_frames), "-x264-params", flags]
        return options


def encode(
    path: Path, seconds: float, shape: Shape, *, first: int = 0, extra: Sequence[str] = ()
) -> None:
    """Encode pictures `first`… and beeps; `extra` stands before the output path."""
    sound = path.with_suffix(".wav")
    write_sound(sound, seconds)
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"),
        *("-s", f"{shape.width}x{shape.height}", "-r", str(shape.fps), "-i", "pipe:0"),
        *(("-i", str(sound)) if shape.sound else ()),
        *shape.video_options(),
        *(("-c:a", "aac", "-b:a", "96k") if shape.sound and path.suffix != ".webm" else ()),
        *("-output_ts_offset", str(shape.offset_s)),
        *("-threads", "2", *extra, str(path)),
    ]
    frames = (
        picture(first + at, shape.width, shape.height).tobytes()
        for at in range(round(seconds * shape.fps))
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        for frame in frames:
            child.stdin.write(frame)
        child.stdin.close()
        assert child.wait() == 0
    sound.unlink()


@dataclass(frozen=True)
class Slice:
    """One segment of the stream."""

    body: bytes
    first_s: float
    """Its smallest picture timestamp as the container tells it."""
    duration_s: float


def segments(folder: Path, seconds: float, shape: Shape, *, first: int = 0) -> list[Slice]:
    """Return the stream as transport-stream segments of two seconds."""
    playlist = folder / "out.m3u8"
    extra = ("-muxdelay", "0", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0")
    encode(playlist, seconds, shape, first=first, extra=extra)
    lines = playlist.read_text().splitlines()
    durations = [float(line[8:].split(",")[0]) for line in lines if line.startswith("#EXTINF:")]
    paths = [folder / line for line in lines if line and not line.startswith("#")]
    return [
        Slice(path.read_bytes(), first_pts(path), duration_s)
        for path, duration_s in zip(paths, durations, strict=True)
    ]


def first_pts(path: Path) -> float:
    """Return a file's smallest picture timestamp in seconds."""
    with av.open(str(path)) as container:
        return min(
            float(p.pts * p.time_base) for p in container.demux(video=0) if p.pts is not None
        )


def stored(
    slices: Sequence[Slice],
    *,
    session_id: str = "s",
    media_s: float = 0.0,
    disc: int = 0,
    first_seq: int = 0,
) -> list[tuple[SegmentStored, bytes]]:
    """Return segment events in the ring for slices, each with its bytes."""
    told = []
    for at, each in enumerate(slices):
        seq = first_seq + at
        event = SegmentStored(
            tenant_id="t",
            channel_id="c",
            session_id=session_id,
            epoch=0,
            seq=seq,
            disc=disc,
            media_s=media_s + each.first_s - slices[0].first_s,
            duration_s=each.duration_s,
            pts_s=each.first_s,
            container="ts",
            object_key=f"tenant/t/ring/{session_id}/0-{seq:09d}.ts",
            size_bytes=len(each.body),
        )
        told.append((event, each.body))
    return told


def shown(path: Path, in_s: float, out_s: float) -> list[int]:
    """Return the numbers of the pictures shown from `in_s` until `out_s`."""
    return [number for pts_s, number in numbers(path) if in_s - 0.0005 <= pts_s < out_s - 0.0005]


def numbers(path: Path) -> Iterator[tuple[float, int]]:
    """Yield (presentation time, number) of each decoded picture."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield float(frame.time), read_number(frame.to_ndarray(format="gray"))


def beeps(path: Path) -> list[float]:
    """Return the presentation times at which a beep begins."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    onsets: list[float] = []
    quiet_until = -1.0
    for frame in frames:
        sound = np.abs(frame.to_ndarray().astype(np.float64))
        if frame.format.name.startswith("s16"):
            sound /= 32768
        for at in np.flatnonzero(sound.reshape(-1, frame.samples).max(axis=0) > 0.2):
            time_s = float(frame.time) + at / frame.sample_rate
            if time_s > quiet_until:
                onsets.append(time_s)
            quiet_until = time_s + 0.3
    return onsets
