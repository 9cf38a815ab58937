"""Makes small sources whose every frame says its number, and reads such frames again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from render.encode import encoder_path

WIDTH, HEIGHT = 320, 180
BITS = 10
_BLOCK = 32

Gray = npt.NDArray[np.uint8]


def numbered_frame(number: int) -> Gray:
    """Return a gray frame (180, 320) with the number as ten blocks, black or white."""
    frame = np.full((HEIGHT, WIDTH), 96, np.uint8)
    for bit in range(BITS):
        frame[20:160, bit * _BLOCK + 4 : (bit + 1) * _BLOCK - 4] = 230 if number >> bit & 1 else 20
    return frame


def read_number(gray: Gray) -> int:
    """Return the number that a frame of any size shows, its whole picture being the source's."""
    height, width = gray.shape
    row = gray[int(height * 0.4) : int(height * 0.6)]
    number = 0
    for bit in range(BITS):
        center = int((bit + 0.5) * width / BITS)
        if row[:, center - 2 : center + 3].mean() > 128:
            number |= 1 << bit
    return number


def ffmpeg(*arguments: str, stdin: bytes | None = None) -> None:
    """Run the encoder for a test's own source."""
    subprocess.run(
        [encoder_path(), "-v", "error", "-y", *arguments], input=stdin, check=True, timeout=60
    )


def numbered_video(
    path: Path,
    *,
    frames: int = 90,
    fps: str = "30",
    beeps: bool = True,
    video: tuple[str, ...] = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "30"),
    filters: str = "null",
    volume: float = 0.4,
) -> Path:
    """Write a numbered video; with `beeps`, 50 ms of a tone at the start of every second."""
    raw = b"".join(numbered_frame(number).tobytes() for number in range(frames))
    sound = (
        ["-f", "lavfi", "-i", f"aevalsrc='{volume}*sin(2*PI*1000*t)*lt(mod(t,1),0.05)':s=48000"]
        if beeps
        else []
    )
    ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", fps),
        *("-i", "pipe:0", *sound, "-vf", filters, "-pix_fmt", "yuv420p", *video),
        *(["-c:a", "aac", "-b:a", "128k", "-shortest"] if beeps else []),
        str(path),
        stdin=raw,
    )
    return path


def frames_of(path: Path) -> Iterator[av.VideoFrame]:
    """Yield the decoded frames of a file."""
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def gray(frame: av.VideoFrame) -> Gray:
    """Return a frame's luma."""
    return frame.to_ndarray(format="gray")


def sound_of(path: Path) -> tuple[npt.NDArray[np.float32], float]:
    """Return the sound (samples, mono, 48 kHz) and the second of its first sample."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=48000)
    parts, first_s = [], None
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            if first_s is None and frame.time is not None:
                first_s = frame.time
            for piece in resampler.resample(frame):
                parts.append(piece.to_ndarray()[0])
    return np.concatenate(parts), first_s or 0.0


def beep_onsets(path: Path) -> list[float]:
    """Return the seconds at which a loud tone begins, after at least half a second without."""
    samples, first_s = sound_of(path)
    loud = np.abs(samples) > 0.25 * np.abs(samples).max()
    times = np.flatnonzero(loud) / 48000 + first_s
    gaps = np.diff(times, prepend=-10.0)
    return [float(at_s) for at_s in times[gaps > 0.5]]
