"""Takes one frame out of a segment and describes it.

Law: a key frame is decoded only when one is due; due times follow from the channel and the media
clock alone, so that a restart changes nothing and channels do not all decode at once.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from itertools import islice

from av.container import InputContainer
from av.video.frame import VideoFrame
from PIL import Image

from detectors.decode import opened
from detectors.errors import CorruptMedia

_PACKETS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame as JPEG."""

    pts_s: float
    jpeg: bytes
    width: int
    height: int
    picture_hash: str


def frame_is_due(channel_id: str, start_s: float, end_s: float, every_s: float) -> bool:
    """Say whether a frame is due in the segment: at the very start, then each `every_s`."""
    if start_s <= 0.0 < end_s:
        return True
    offset_s = zlib.crc32(channel_id.encode()) % 1000 / 1000 * every_s
    return (end_s - offset_s) // every_s > (start_s - offset_s) // every_s


def first_picture(body: bytes, container: str, *, width_max: int, quality: int) -> Picture | None:
    """Decode the segment's first key frame; None when it has no picture.

    Raises:
        CorruptMedia: the segment or its key frame cannot be read.
    """
    with opened(body, container) as media:
        if not media.streams.video:
            return None
        found = _first_frame(media)
        if found is None:
            return None
        pts_s, frame = found
        image = _as_image(frame, width_max)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Picture(pts_s, out.getvalue(), image.width, image.height, difference_hash(image))


def _first_frame(media: InputContainer) -> tuple[float, VideoFrame] | None:
    stream = media.streams.video[0]
    for packet in islice(media.demux(stream), _PACKETS_MAX):
        if not packet.size or not packet.is_keyframe:
            continue
        frames = [*packet.decode(), *stream.codec_context.decode(None)]
        if not frames or packet.pts is None:
            raise CorruptMedia("the key frame cannot be decoded")
        return float(packet.pts * packet.time_base), frames[0]
    return None


def _as_image(frame: VideoFrame, width_max: int) -> Image.Image:
    aspect = 1.0
    stream_aspect = getattr(frame, "sample_aspect_ratio", None)
    if stream_aspect:
        aspect = float(stream_aspect)
    shown = max(1, round(frame.width * aspect))
    scale = min(1.0, width_max / shown)
    size = (max(1, round(shown * scale)), max(1, round(frame.height * scale)))
    rows = frame.reformat(width=size[0], height=size[1], format="rgb24").to_ndarray()
    image = Image.fromarray(rows)
    turn = getattr(frame, "rotation", 0)
    return image.rotate(turn, expand=True) if turn else image


def difference_hash(image: Image.Image) -> str:
    """Return 64 bits, hexadecimal: is each of 8 × 8 spots brighter than its right neighbour."""
    small = image.convert("L").resize((9, 8), Image.Resampling.BILINEAR)
    spots = small.tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            left, right = spots[row * 9 + column], spots[row * 9 + column + 1]
            bits = bits << 1 | (left > right)
    return f"{bits:016x}"
