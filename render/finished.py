"""Looks at a finished file before anybody else does, and takes its thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from render.errors import OutputBroken

_CANDIDATES_MAX = 12
_DARK = 28.0
_FLAT = 8.0
_SIDE = 270


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What a finished file really holds."""

    width: int
    height: int
    frames: int
    video_s: float
    audio_s: float


def look_at(path: Path) -> Finished:
    """Return what the file holds, by counting its packets.

    Raises:
        OutputBroken: it lacks picture or sound, or cannot be read.
    """
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video or not container.streams.audio:
                raise OutputBroken("picture or sound is missing")
            video, audio = container.streams.video[0], container.streams.audio[0]
            frames = 0
            audio_s = 0.0
            for packet in container.demux(video, audio):
                if packet.pts is None or packet.time_base is None:
                    continue
                if packet.stream is video:
                    frames += 1
                else:
                    end = packet.pts + (packet.duration or 0)
                    audio_s = max(audio_s, float(end * packet.time_base))
            rate = video.average_rate
            if not frames or rate is None:
                raise OutputBroken("no frame in it")
            return Finished(
                width=video.width,
                height=video.height,
                frames=frames,
                video_s=float(frames / rate),
                audio_s=audio_s,
            )
    except av.FFmpegError as error:
        raise OutputBroken(f"not readable: {error}") from error


def check(found: Finished, *, width: int, height: int, frames: int, duration_s: float) -> None:
    """Compare a finished file with what was asked for.

    Raises:
        OutputBroken: it is something else.
    """
    if (found.width, found.height) != (width, height):
        raise OutputBroken(f"{found.width}x{found.height} instead of {width}x{height}")
    if found.frames != frames:
        raise OutputBroken(f"{found.frames} frames instead of {frames}")
    if abs(found.audio_s - duration_s) > 0.1:
        raise OutputBroken(f"{found.audio_s:.2f} s of sound instead of {duration_s:.2f}")


def sharpness(gray: npt.NDArray[np.float32]) -> float:
    """Return how good a frame (height, width; 0 to 255) is as a thumbnail; more is better.

    The variance of its Laplacian, and nothing for a frame that is dark or flat.
    """
    if gray.mean() < _DARK or gray.std() < _FLAT:
        return 0.0
    middle = gray[1:-1, 1:-1]
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * middle
    return float(laplacian.var())


def thumbnail(path: Path, to: Path) -> None:
    """Write the best of a file's key frames as JPEG, in the file's own size.

    Raises:
        OutputBroken: no key frame can be decoded.
    """
    best: Image.Image | None = None
    best_score = -1.0
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            every = max(1, -(-int(stream.frames or 0) // (60 * _CANDIDATES_MAX)))
            for number, frame in enumerate(container.decode(stream)):
                if number % every:
                    continue
                small = frame.reformat(_SIDE, _SIDE, "gray").to_ndarray().astype(np.float32)
                score = sharpness(small)
                if score > best_score:
                    best, best_score = Image.fromarray(frame.to_ndarray(format="rgb24")), score
    except av.FFmpegError as error:
        raise OutputBroken(f"no thumbnail: {error}") from error
    if best is None:
        raise OutputBroken("no key frame for a thumbnail")
    best.save(to, "JPEG", quality=88, optimize=True)
