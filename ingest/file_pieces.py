"""A video file in pieces: the audio, copied, and a key frame now and then, as small Matroska files.

The file is opened twice. One demuxer reads the audio from beginning to end and skips the picture's
packets; the other jumps from key frame to key frame. Nothing is decoded, and of a large file only
a small part is read. Timestamps in a piece are those of the file, counted from the file's zero, so
a piece is the same whether the reading began at the file's beginning or in its middle.
"""

from __future__ import annotations

import io
import logging
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import av
import av.container
import av.stream
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from ingest.file_open import FileFacts, audio_of, only, open_container, video_of
from ingest.file_settings import FileSettings

_log = logging.getLogger(__name__)

_SEEK_BACK_S = 1.0
_REPEATABLE = {"fflags": "+bitexact"}
"""Without this a Matroska file carries random numbers."""

_Packet: TypeAlias = "Packet[Any]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One piece of a file."""

    body: bytes
    """Matroska; without any packet where the file has nothing to take."""
    is_real: bool
    """False where the file announces media that is not there: it breaks off before."""
    is_cut: bool = False
    """Packets were left out, because the piece grew beyond its limit."""


@dataclass(frozen=True, slots=True)
class _KeyFrame:
    at_s: float
    packet: _Packet


class FilePieces:
    """Makes the pieces of one file, forwards. Not for two threads at once."""

    def __init__(self, facts: FileFacts, settings: FileSettings) -> None:
        """Open the file.

        Raises:
            OSError, av.error.FFmpegError: it cannot be opened any more.
        """
        self._facts = facts
        self._settings = settings
        self._lock = threading.Lock()
        self._closed = False
        self._listening = open_container(facts.path)
        self._looking = open_container(facts.path)
        self._audio = audio_of(self._listening)
        self._video = video_of(self._looking)
        if self._audio is not None:
            only(self._listening, self._audio)
        if self._video is not None:
            only(self._looking, self._video)
            self._video.discard = av.stream.Discard.nonkey
        self._packets: Iterator[_Packet] = iter(())
        self._held: _Packet | None = None
        self._next: int | None = None
        self._frame: _KeyFrame | None = None
        self._stretch: int | None = None
        self._has_looked = False
        self._unsupported = self._give_up_unsupported()

    @property
    def unsupported(self) -> tuple[str, ...]:
        """What of the file cannot be carried by a piece: `audio (codec)`, `video (codec)`."""
        return self._unsupported

    def close(self) -> None:
        """Close the file, after the piece that is being made."""
        with self._lock:
            self._closed = True
            self._listening.close()
            self._looking.close()

    def make(self, number: int) -> Piece:
        """Return a piece; one after the other is cheap, any other number costs a seek.

        Raises:
            OSError, av.error.FFmpegError: the file cannot be read any more.
        """
        with self._lock:
            if self._closed:
                raise OSError("the file is closed")
            return self._make(number)

    def _make(self, number: int) -> Piece:
        begin_s = number * self._settings.segment_s
        end_s = begin_s + self._settings.segment_s
        if self._next != number:
            self._seek_audio(begin_s)
            self._stretch = None
        self._next = number + 1
        sound, is_cut = self._sound_until(end_s)
        frame = self._frame_in(begin_s, end_s)
        is_real = bool(sound) or frame is not None or self._has_picture(begin_s, end_s)
        return Piece(body=self._muxed(sound, frame), is_real=is_real, is_cut=is_cut)

    # --- sound --------------------------------------------------------------------------------

    def _seek_audio(self, begin_s: float) -> None:
        """Stand before the first audio packet at or after `begin_s`."""
        self._held = None
        self._packets = iter(())
        if self._audio is None:
            return
        if begin_s > 0.0:
            self._seek(self._listening, self._audio, begin_s - _SEEK_BACK_S)
        self._packets = self._listening.demux(self._audio)
        for packet in self._packets:
            if packet.pts is not None and self._at_s(packet) >= begin_s:
                self._held = packet
                return

    def _sound_until(self, end_s: float) -> tuple[list[_Packet], bool]:
        sound: list[_Packet] = []
        size_bytes = 0
        is_cut = False
        packet = self._held
        self._held = None
        while True:
            if packet is not None and packet.pts is not None and packet.size:
                if self._at_s(packet) >= end_s:
                    self._held = packet
                    break
                size_bytes += packet.size
                if size_bytes <= self._settings.segment_bytes_max:
                    sound.append(packet)
                else:
                    is_cut = True
            packet = self._next_packet()
            if packet is None:
                break
        return sound, is_cut

    def _next_packet(self) -> _Packet | None:
        """Return the next audio packet; None at the end, and where a broken file ends for us."""
        try:
            return next(self._packets, None)
        except av.error.InvalidDataError as error:
            _log.warning(
                "the audio of a file breaks off",
                extra={"path": str(self._facts.path), "error": str(error)},
            )
            self._packets = iter(())
            return None

    # --- picture ------------------------------------------------------------------------------

    def _frame_in(self, begin_s: float, end_s: float) -> _Packet | None:
        """Return the key frame that this piece carries, if it is the one of its stretch."""
        if self._video is None:
            return None
        every_s = self._settings.frame_every_s if self._audio else self._settings.segment_s
        stretch = math.floor((begin_s + 1e-6) / every_s)
        if self._stretch != stretch:
            self._stretch = stretch
            self._frame = self._first_key_frame(stretch * every_s, (stretch + 1) * every_s)
        if self._frame is None or not begin_s <= self._frame.at_s < end_s:
            return None
        packet = self._frame.packet
        self._frame = None
        return packet if packet.size <= self._settings.segment_bytes_max else None

    def _first_key_frame(self, from_s: float, until_s: float) -> _KeyFrame | None:
        for packet in self._picture_from(from_s):
            at_s = self._at_s(packet)
            if at_s >= until_s:
                return None
            if packet.is_keyframe and at_s >= from_s:
                return _KeyFrame(at_s, packet)
        return None

    def _has_picture(self, begin_s: float, end_s: float) -> bool:
        """Return whether any picture stands in a span in which nothing was taken."""
        if self._video is None:
            return False
        self._video.discard = av.stream.Discard.default
        try:
            return any(
                begin_s <= self._at_s(packet) < end_s
                for packet in self._picture_from(begin_s, end_s)
            )
        finally:
            self._video.discard = av.stream.Discard.nonkey

    def _picture_from(self, from_s: float, until_s: float = math.inf) -> Iterator[_Packet]:
        """Yield picture packets from the key frame at or before a time, a bounded number."""
        if self._video is None:
            return
        try:
            if from_s > 0.0 or self._has_looked:
                self._seek(self._looking, self._video, from_s - _SEEK_BACK_S)
            self._has_looked = True
            for count, packet in enumerate(self._looking.demux(self._video)):
                if count >= self._settings.seek_packets_max:
                    return
                if packet.pts is None or not packet.size:
                    continue
                yield packet
                if self._at_s(packet) >= until_s + self._settings.segment_s:
                    return
        except (av.error.InvalidDataError, av.error.PermissionError, av.error.EOFError):
            return

    # --- both ---------------------------------------------------------------------------------

    def _give_up_unsupported(self) -> tuple[str, ...]:
        """Leave out streams of codecs that Matroska cannot carry."""
        unsupported = []
        if self._audio is not None and not _is_carried(self._audio):
            unsupported.append(f"audio ({self._audio.codec_context.name})")
            self._audio = None
        if self._video is not None and not _is_carried(self._video):
            unsupported.append(f"video ({self._video.codec_context.name})")
            self._video = None
        return tuple(unsupported)

    def _seek(self, container: av.container.InputContainer, stream: Stream, to_s: float) -> None:
        assert stream.time_base is not None
        ticks = math.floor((max(to_s, 0.0) + self._facts.zero_s) / stream.time_base)
        container.seek(ticks, stream=stream, backward=True)

    def _at_s(self, packet: _Packet) -> float:
        """Return when a packet is shown, in seconds from the file's zero."""
        assert packet.pts is not None
        ticks_per_s = packet.time_base.denominator / packet.time_base.numerator
        return packet.pts / ticks_per_s - self._facts.zero_s

    def _muxed(self, sound: list[_Packet], frame: _Packet | None) -> bytes:
        """Return a Matroska file of the packets, their times counted from the file's zero."""
        body = io.BytesIO()
        with av.open(body, "w", format="matroska", options=_REPEATABLE) as output:
            picture = (
                output.add_stream_from_template(self._video)
                if self._video is not None and frame is not None
                else None
            )
            heard = None if self._audio is None else output.add_stream_from_template(self._audio)
            if frame is not None and picture is not None:
                self._put(output, [frame], picture)
            if heard is not None:
                self._put(output, sound, heard)
        return body.getvalue()

    def _put(
        self, output: av.container.OutputContainer, packets: list[_Packet], stream: Stream
    ) -> None:
        if not packets:
            return
        shift = round(self._facts.zero_s / packets[0].time_base)
        for packet in packets:
            assert packet.pts is not None
            pts = packet.pts - shift
            if pts < 0:
                continue
            packet.pts = packet.dts = pts
            packet.stream = stream
            output.mux_one(packet)


def _is_carried(stream: AudioStream | VideoStream) -> bool:
    try:
        with av.open(io.BytesIO(), "w", format="matroska") as output:
            output.add_stream_from_template(stream)
            output.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True
