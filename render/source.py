"""Looks into a source cut: what picture and sound it holds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import ColorTrc

from render.errors import SourceUnusable

_HDR = {int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """The picture of a source, as a player shows it: rotated, with square pixels."""

    width: int
    height: int
    fps: Fraction
    """Average frame rate."""
    hdr: bool
    interlaced: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceMedia:
    """What a source cut holds; either part may be missing, not both."""

    picture: Picture | None
    has_audio: bool
    zero_s: float
    """The file's timestamp of its first shown picture, or of its first sound without one: where
    in and out points are counted from."""


def look_into(path: Path) -> SourceMedia:
    """Return what the media file holds; decodes one frame.

    Raises:
        SourceUnusable: it is no media, or nothing in it can be decoded.
    """
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            has_audio = bool(container.streams.audio)
            picture, zero_s = _picture(container)
    except (av.FFmpegError, ValueError) as error:
        raise SourceUnusable(f"not readable as media: {error}") from error
    if picture is None and not has_audio:
        raise SourceUnusable("neither a picture nor sound in it")
    return SourceMedia(picture=picture, has_audio=has_audio, zero_s=zero_s)


def _picture(container: av.container.InputContainer) -> tuple[Picture | None, float]:
    """Return the picture, and where the timeline begins."""
    stream = container.streams.video[0] if container.streams.video else None
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
        return None, (container.start_time or 0) / av.time_base
    frame = next(container.decode(stream), None)
    if frame is None:
        raise SourceUnusable("no frame of the picture can be decoded")
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = round(frame.width * aspect), frame.height
    if frame.rotation % 180:
        width, height = height, width
    fps = stream.average_rate or stream.guessed_rate or Fraction(30)
    picture = Picture(
        width=width,
        height=height,
        fps=Fraction(fps),
        hdr=int(frame.color_trc) in _HDR,
        interlaced=frame.interlaced_frame,
    )
    return picture, frame.time or 0.0
