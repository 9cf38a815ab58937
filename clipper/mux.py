"""Writes packets into an MP4 file without touching the pictures.

Law: the first shown picture stands at zero; sound that would begin before it is left out, so that
no player has to understand an edit list to be in sync.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from clipper.errors import CutFailed
from clipper.parts import Part, seconds
from clipper.splice import Stretch
from store.errors import StorageFull
from store.objects import NO_SPACE

VIDEO_CODECS = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})
AUDIO_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
_TAIL_S = 0.25
"""Sound goes on this long behind the last picture."""


def copyable(part: Part) -> bool:
    """Say whether MP4 can hold the part's streams as they are."""
    video = part.video is None or _name(part.video) in VIDEO_CODECS
    return video and (part.audio is None or _name(part.audio) in AUDIO_CODECS)


def same_codecs(one: Part, other: Part) -> bool:
    """Say whether one decoder, set up once, reads both."""
    return _parameters(one) == _parameters(other)


def _name(stream: Stream) -> str:
    name: str = stream.codec_context.codec.canonical_name
    return name


def _parameters(part: Part) -> tuple[object, ...]:
    video, audio = part.video, part.audio
    shape: tuple[object, ...] = ()
    if video is not None:
        context = video.codec_context
        setup = part.sps or context.extradata
        shape = (_name(video), video.width, video.height, context.pix_fmt, setup)
    if audio is not None:
        shape += (_name(audio), audio.rate, audio.channels)
    return shape


def write_copy(stretches: Sequence[Stretch], path: Path, *, container: str = "mp4") -> None:
    """Write stretches with equal parameters into one file.

    Raises:
        CutFailed: `undecodable` when the packets do not fit the container.
        StorageFull: no space is left for the file.
    """
    first = stretches[0].part
    options = {"movflags": "+faststart"} if container == "mp4" else {}
    try:
        with av.open(str(path), "w", format=container, options=options) as output:
            video = None if first.video is None else _copied(output, first.video, container)
            audio = None if first.audio is None else _copied(output, first.audio, container)
            last_dts: dict[int, int] = {}
            for stretch in stretches:
                for packet in _shifted(stretch, video, audio):
                    _write(output, packet, last_dts)
    except (av.FFmpegError, ValueError) as error:
        if getattr(error, "errno", None) in NO_SPACE:
            raise StorageFull(f"no space is left for {path}; free some and run again") from error
        raise CutFailed("undecodable", f"the media cannot be copied into MP4: {error}") from error


def _copied(output: OutputContainer, template: Stream, container: str) -> Stream:
    stream = output.add_stream_from_template(template)
    if container == "mp4" and _name(template) == "hevc":
        # Players of one vendor open HEVC under this tag only.
        stream.codec_context.codec_tag = "hvc1"
    return stream


def _shifted(stretch: Stretch, video: Stream | None, audio: Stream | None) -> list[Packet[Any]]:
    part, chosen = stretch.part, stretch.chosen
    shift_s = stretch.offset_s - chosen.zero_s
    pictures = [part.video_packets[at] for at in chosen.kept] if video is not None else []
    end_s = max((seconds(each, each.pts) for each in pictures), default=None)
    until_s = (chosen.out_s if end_s is None else end_s + chosen.frame_s) + _TAIL_S
    sounds = []
    if audio is not None:
        sounds = [
            each
            for each in part.audio_packets
            if chosen.zero_s - 0.0005 <= seconds(each, each.pts) < until_s
        ]
    for stream, packets in ((video, pictures), (audio, sounds)):
        for packet in packets:
            ticks = round(shift_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) + ticks, (packet.dts or 0) + ticks
            packet.stream = stream
    return sorted([*pictures, *sounds], key=lambda each: seconds(each, each.dts))


def _write(output: OutputContainer, packet: Packet[Any], last_dts: dict[int, int]) -> None:
    """Write a packet; sound that overlaps the stretch before is left out, pictures are kept."""
    dts_us = round(seconds(packet, packet.dts) * 1e6)
    last_us = last_dts.get(packet.stream_index)
    if last_us is not None and dts_us <= last_us:
        if packet.stream.type == "audio":
            return
        packet.dts = round((last_us + 20) / 1e6 / packet.time_base) + 1
        dts_us = round(seconds(packet, packet.dts) * 1e6)
        if packet.pts is not None and packet.pts < packet.dts:
            raise CutFailed("undecodable", "pictures of two stretches overlap at their seam")
    last_dts[packet.stream_index] = dts_us
    output.mux(packet)
