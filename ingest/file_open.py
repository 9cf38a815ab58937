"""Opening a video file that somebody gave us, and saying plainly what is wrong with it.

Only a regular local file is opened, by a demuxer of the list below, and nothing that the file
refers to.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import av
import av.container
import av.stream
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from ingest.errors import SourceUnusable
from ingest.file_settings import FileSettings

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,flv,avi,ogg,wav,mp3,flac,aac"
_HEAD_BYTES = 65_536
_BOX_HEADER_BYTES = 16
_BOXES_MAX = 4_096
_ASK = "give a video file (mp4, mkv, mov, ts or webm)"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """What a file holds."""

    path: Path
    """Absolute."""
    size_bytes: int
    digest: str
    """Names the file: from its name, its size and its first bytes."""
    zero_s: float
    """The container's own time of the file's zero: its first timestamp over all streams."""
    duration_s: float
    has_audio: bool
    has_video: bool


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file for demuxing.

    Raises:
        OSError, av.error.FFmpegError: it cannot be opened.
    """
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    return av.open(f"file:{path}", options=options)


def audio_of(container: av.container.InputContainer) -> AudioStream | None:
    """Return the stream that is listened to: the first audio stream."""
    return next(iter(container.streams.audio), None)


def video_of(container: av.container.InputContainer) -> VideoStream | None:
    """Return the stream that is looked at: the first video stream that is no cover picture."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & cover), None)


def only(container: av.container.InputContainer, wanted: av.stream.Stream) -> None:
    """Have the demuxer skip every stream but one, so that its packets are not even read."""
    for stream in container.streams:
        if stream.index != wanted.index:
            stream.discard = av.stream.Discard.all


def look_at(path: Path, settings: FileSettings) -> FileFacts:
    """Say what a file holds.

    Raises:
        SourceUnusable: it cannot be watched, and why, for a person.
    """
    absolute = path.resolve()
    head, size_bytes = _head(absolute)
    try:
        with open_container(absolute) as container:
            return _facts(absolute, head, size_bytes, container, settings)
    except (OSError, av.error.FFmpegError) as error:
        raise SourceUnusable(_why(absolute, head)) from error


def _facts(
    path: Path,
    head: bytes,
    size_bytes: int,
    container: av.container.InputContainer,
    settings: FileSettings,
) -> FileFacts:
    audio, video = audio_of(container), video_of(container)
    if len(container.streams) > settings.streams_max:
        raise SourceUnusable(
            f"{path} has {len(container.streams)} streams, more than {settings.streams_max}"
        )
    if audio is None and video is None:
        raise SourceUnusable(f"{path} has neither picture nor sound; {_ASK}")
    zero_s = (container.start_time or 0) / av.time_base
    duration_s = (container.duration or 0) / av.time_base
    if duration_s <= 0.0:
        duration_s = _measured(path, zero_s)
    if not 0.0 < duration_s <= settings.duration_max_s:
        raise SourceUnusable(
            f"{path} says that it lasts {duration_s:.0f} s; "
            f"what can be watched lasts up to {settings.duration_max_s:.0f} s"
        )
    return FileFacts(
        path=path,
        size_bytes=size_bytes,
        digest=blake2b(
            f"{path.name}\x1f{size_bytes}\x1f".encode() + head, digest_size=10
        ).hexdigest(),
        zero_s=zero_s,
        duration_s=duration_s,
        has_audio=audio is not None,
        has_video=video is not None,
    )


def _measured(path: Path, zero_s: float) -> float:
    """Return the length of a file that does not tell it (a browser's recording), by reading it."""
    end_s = 0.0
    with open_container(path) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                past = packet.pts + (packet.duration or 0)
                end_s = max(end_s, float(past * packet.time_base) - zero_s)
    return end_s


def _head(path: Path) -> tuple[bytes, int]:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise SourceUnusable(f"{path} is no file; {_ASK}")
        if about.st_size == 0:
            raise SourceUnusable(f"{path} is empty (0 bytes); was it copied to the end?")
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES), about.st_size
    except FileNotFoundError as error:
        raise SourceUnusable(f"there is no file {path}") from error
    except OSError as error:
        raise SourceUnusable(f"{path} cannot be read: {error.strerror}") from error


def _why(path: Path, head: bytes) -> str:
    if head[4:8] == b"ftyp" and not _has_index(path):
        return (
            f"{path} breaks off before its index (moov): the recording or the copy was cut short; "
            "copy it again, or repair it with a tool such as untrunc"
        )
    return f"{path} is no video that can be read; {_ASK}"


def _has_index(path: Path) -> bool:
    """Return whether an MP4 or QuickTime file has its index, by its outermost boxes."""
    end = path.stat().st_size
    at = 0
    with path.open("rb") as file:
        for _ in range(_BOXES_MAX):
            file.seek(at)
            header = file.read(_BOX_HEADER_BYTES)
            if len(header) < 8:
                return False
            size = int.from_bytes(header[:4], "big")
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if header[4:8] == b"moov":
                return at + size <= end
            if size < 8:
                return False
            at += size
    return False
