"""Takes media apart into packets that can be copied.

Law: a part has one set of codec parameters and one continuous clock; where either changes, a new
part begins.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from clipper.errors import CutFailed
from clipper.material import Material, RunBytes, RunFile
from clipper.nal import sequence_parameters, tables_of
from clipper.pieces import Piece

_PROBE = {"probesize": "64000000", "analyzeduration": "30000000", "fflags": "+genpts"}
"""Sound may begin long after the picture; libav stops looking as soon as it knows all streams."""
_FIRST_PACKETS = 90
_BACK_S = (0.0, 4.0, 15.0, 60.0)
"""How far before the wished second a file is entered, until a key frame stands before it."""
_BEYOND_S = 12.0
_SPLITS_MAX = 16


@dataclass(slots=True)
class Part:
    """Packets of one continuous stretch. Times are the container's own, in seconds."""

    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    video_packets: list[Packet[Any]] = field(default_factory=list)
    audio_packets: list[Packet[Any]] = field(default_factory=list)
    anchors: list[tuple[float, float]] = field(default_factory=list)
    """(media_s, container's time) pairs in order."""
    sps: bytes = b""

    @property
    def empty(self) -> bool:
        """There is nothing to copy."""
        return not (self.video_packets if self.video is not None else self.audio_packets)

    def to_container(self, media_s: float) -> float:
        """Map media time to the container's."""
        media_at, here_at = next(
            (pair for pair in reversed(self.anchors) if pair[0] <= media_s + 1e-6), self.anchors[0]
        )
        return here_at + (media_s - media_at)

    def to_media(self, here_s: float) -> float:
        """Map the container's time to media time."""
        media_at, here_at = next(
            (pair for pair in reversed(self.anchors) if pair[1] <= here_s + 1e-6), self.anchors[0]
        )
        return media_at + (here_s - here_at)


def seconds(packet: Packet[Any], ticks: int | None) -> float:
    """Return a packet's timestamp in seconds; its showing time where it has no other."""
    return float((packet.pts or 0 if ticks is None else ticks) * packet.time_base)


def take_apart(material: Material, start_s: float, end_s: float) -> list[Part]:
    """Demux a run of media around a window of media time.

    Raises:
        CutFailed: `undecodable` when it cannot be read as media.
    """
    try:
        if isinstance(material, RunFile):
            parts = [_from_file(material, start_s, end_s)]
        else:
            parts = _from_bytes(material)
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise CutFailed("undecodable", f"the media cannot be read: {error}") from error
    for part in parts:
        _give_decoding_times(part.video_packets)
        _give_decoding_times(part.audio_packets)
    return parts


def _from_bytes(run: RunBytes) -> list[Part]:
    is_ts = run.pieces[0].container == "ts"
    parts: list[Part] = []
    rest = (run.init or b"") + b"".join(run.bodies)
    for _ in range(_SPLITS_MAX):
        part, split_at = _demux_bytes(rest, is_ts)
        parts.append(part)
        if split_at is None:
            break
        rest = tables_of(rest) + rest[split_at:]
    _anchor_run(parts, run.pieces)
    return parts


def _demux_bytes(stream: bytes, is_ts: bool) -> tuple[Part, int | None]:
    container = av.open(io.BytesIO(stream), "r", format="mpegts" if is_ts else None, options=_PROBE)
    part = _open_part(container)
    for packet in _packets(part):
        if packet.stream is not part.video:
            part.audio_packets.append(packet)
            continue
        if is_ts and packet.is_keyframe:
            sps = sequence_parameters(bytes(packet), part.video.codec_context.name)
            if sps and part.sps and sps != part.sps and packet.pos:
                return part, packet.pos
            part.sps = part.sps or sps
        part.video_packets.append(packet)
    return part, None


def _open_part(container: InputContainer) -> Part:
    pictures = [each for each in container.streams.video if not _is_cover(each)]
    sounds = list(container.streams.audio)
    if not pictures and not sounds:
        raise CutFailed("undecodable", "the media holds neither picture nor sound")
    return Part(
        container=container,
        video=pictures[0] if pictures else None,
        audio=sounds[0] if sounds else None,
    )


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _packets(part: Part) -> Iterator[Packet[Any]]:
    """Yield the packets that have a time. A broken tail ends them quietly: what came is whole."""
    wanted: list[Any] = [each for each in (part.video, part.audio) if each is not None]
    with suppress(av.FFmpegError):
        for packet in part.container.demux(*wanted):
            if (packet.pts is None and packet.dts is None) or not packet.size:
                continue
            if packet.pts is None:
                packet.pts = packet.dts
            yield packet


def _give_decoding_times(packets: Sequence[Packet[Any]]) -> None:
    """Fill decoding times where the container keeps none, without touching the order.

    They are the showing times in order, moved back by as many pictures as the coder holds back.
    """
    if all(packet.dts is not None for packet in packets):
        return
    shown = sorted(packet.pts or 0 for packet in packets)
    place = {pts: at for at, pts in enumerate(shown)}
    held = max(at - place[packet.pts or 0] for at, packet in enumerate(packets))
    step = max(1, (shown[-1] - shown[0]) // max(1, len(shown) - 1))
    for at, packet in enumerate(packets):
        packet.dts = shown[at - held] if at >= held else shown[0] - (held - at) * step


def _anchor_run(parts: Sequence[Part], pieces: Sequence[Piece]) -> None:
    """Tie the container's clock to the media clock, segment by segment where that is known.

    A segment's `media_s` is the time of its first presented picture (sound, when there is none),
    so the first one seen stands at the first segment's.
    """
    first = next((part for part in parts if not part.empty), None)
    if first is None:
        raise CutFailed("undecodable", "the segments hold no picture and no sound")
    leading = (first.video_packets or first.audio_packets)[:_FIRST_PACKETS]
    zero_s = min(seconds(packet, packet.pts) for packet in leading)
    anchors = [(pieces[0].media_s, zero_s)]
    if pieces[0].pts_s is not None:
        anchors += [
            (piece.media_s, zero_s + piece.pts_s - pieces[0].pts_s)
            for piece in pieces[1:]
            if piece.pts_s is not None
        ]
    rising = all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(anchors))
    for part in parts:
        part.anchors = anchors if rising else anchors[:1]


def _from_file(run: RunFile, start_s: float, end_s: float) -> Part:
    piece = run.pieces[0]
    reference = piece.source_ref
    begin_s = (reference.start_s if reference is not None else None) or 0.0
    container = av.open(str(run.path), "r")
    zero_s = (container.start_time or 0) / av.time_base + begin_s
    part = _open_part(container)
    part.anchors = [(piece.media_s, zero_s)]
    wished_s, until_s = part.to_container(start_s), part.to_container(end_s)
    for back_s in _BACK_S:
        container.seek(round((wished_s - back_s) * av.time_base), backward=True)
        _read_span(part, until_s)
        if _reaches(part, wished_s) or wished_s - back_s <= zero_s - begin_s:
            break
    return part


def _reaches(part: Part, wished_s: float) -> bool:
    if part.video is None:
        return any(seconds(p, p.pts) <= wished_s for p in part.audio_packets)
    return any(p.is_keyframe and seconds(p, p.pts) <= wished_s for p in part.video_packets)


def _read_span(part: Part, until_s: float) -> None:
    part.video_packets.clear()
    part.audio_packets.clear()
    picture_done, sound_done = part.video is None, part.audio is None
    for packet in _packets(part):
        here_s = seconds(packet, packet.dts)
        if packet.stream is part.video:
            picture_done = picture_done or (packet.is_keyframe and here_s >= until_s)
            if not picture_done:
                part.video_packets.append(packet)
        else:
            sound_done = sound_done or here_s >= until_s + 1.0
            if not sound_done:
                part.audio_packets.append(packet)
        if (picture_done and sound_done) or here_s > until_s + _BEYOND_S:
            break
