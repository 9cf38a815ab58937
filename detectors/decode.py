"""Decodes the sound and single pictures of segments with libav.

Law: timestamps come out as the container tells them; where they lie on the media clock is not
decided here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from detectors.errors import CorruptMedia, NoAudio
from detectors.sound import RATE_HZ
from detectors.voice import Pcm

PTS_WRAP_S: Final = 2**33 / 90_000
_DRIFT_MAX_S = 0.02
_GATHERED_MAX = 500
_FORMATS = {"ts": "mpegts", "fmp4": "mp4", "matroska": "matroska"}
_PROBE = {"probesize": "65536", "analyzeduration": "0"}
"""A segment tells what it holds at its beginning; libav need not decode it to find out."""


def wrapped_difference(a_s: float, b_s: float) -> float:
    """Return a − b when both are timestamps that wrap after 33 bits of 90 kHz."""
    half = PTS_WRAP_S / 2
    return (a_s - b_s + half) % PTS_WRAP_S - half


@dataclass(frozen=True, slots=True)
class SoundRun:
    """Sound without a hole: mono s16 at 16 kHz."""

    pts_s: float
    """Container timestamp of the first sample; it may run on beyond a 33-bit wrap."""
    pcm: Pcm


@contextmanager
def opened(body: bytes, container: str) -> Iterator[InputContainer]:
    """Open media bytes.

    Raises:
        CorruptMedia: libav cannot read them; raised for what goes wrong inside the block too.
    """
    try:
        with av.open(io.BytesIO(body), "r", format=_FORMATS[container], options=_PROBE) as media:
            yield media
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise CorruptMedia(f"the segment cannot be read: {error}") from error


class SoundDecoder:
    """One decoder for segments whose sound goes on from one to the next."""

    def __init__(self) -> None:
        self._codec: AudioCodecContext | None = None
        self._signature: tuple[object, ...] = ()
        self._line = _Line()
        self.errors = 0
        """Packets that could not be decoded."""

    def decode(self, body: bytes, container: str) -> list[SoundRun]:
        """Decode a segment's first audio stream.

        Raises:
            CorruptMedia: the segment cannot be read, or none of its sound.
            NoAudio: it has no audio stream, or is an empty piece of a file whose sound has ended.
        """
        self._line.begin()
        if not body and container == "matroska":
            raise NoAudio("the piece is empty")
        with opened(body, container) as media:
            if not media.streams.audio:
                raise NoAudio("the segment has no audio stream")
            stream = media.streams.audio[0]
            self._prepare(stream)
            failed, decoded = self._decode_packets(media, stream)
        self.errors += failed
        if failed and not decoded:
            raise CorruptMedia(f"none of the segment's {failed} sound packets can be decoded")
        return self._line.runs()

    def _prepare(self, stream: AudioStream) -> None:
        own = stream.codec_context
        signature = (own.name, own.extradata, own.sample_rate, own.layout.name)
        if signature == self._signature and self._codec is not None:
            return
        codec = av.CodecContext.create(own.name, "r")
        assert isinstance(codec, AudioCodecContext)
        codec.extradata = own.extradata
        codec.thread_count = 1
        if own.sample_rate:
            codec.sample_rate = own.sample_rate
            codec.layout = own.layout
        self._codec, self._signature = codec, signature

    def _decode_packets(self, media: InputContainer, stream: AudioStream) -> tuple[int, int]:
        assert self._codec is not None
        failed = decoded = 0
        tick_s = float(stream.time_base) if stream.time_base is not None else 0.0
        for packet in media.demux(stream):
            if packet.size == 0:
                continue
            try:
                frames = self._codec.decode(packet)
            except av.FFmpegError:
                failed += 1
                continue
            for frame in frames:
                decoded += 1
                if frame.pts is not None:
                    self._line.add(frame, frame.pts * tick_s)
        return failed, decoded


class _Line:
    """Resamples frames that follow one another and notices where they do not.

    Frames are gathered and resampled many at once, which costs half of one by one.
    """

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[int, str, str] = (0, "", "")
        self._anchor_s = 0.0
        self._in_s = 0.0
        self._out = 0
        self._gathered: list[NDArray[Any]] = []
        self._runs: list[SoundRun] = []
        self._parts: list[Pcm] = []

    def begin(self) -> None:
        self._runs, self._parts, self._gathered = [], [], []

    def add(self, frame: AudioFrame, pts_s: float) -> None:
        shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        expected_s = self._anchor_s + self._in_s
        if shape != self._shape or abs(wrapped_difference(pts_s, expected_s)) > _DRIFT_MAX_S:
            self._restart(shape, pts_s)
        self._in_s += frame.samples / frame.sample_rate
        self._gathered.append(frame.to_ndarray())
        if len(self._gathered) >= _GATHERED_MAX:
            self._resample()

    def runs(self) -> list[SoundRun]:
        self._close_run()
        return self._runs

    def _resample(self) -> None:
        if not self._gathered or self._resampler is None:
            return
        rate_hz, layout, form = self._shape
        joined = np.concatenate(self._gathered, axis=1)
        self._gathered = []
        frame = AudioFrame.from_ndarray(joined, format=form, layout=layout)
        frame.sample_rate = rate_hz
        self._parts += [_samples(part) for part in self._resampler.resample(frame)]

    def _restart(self, shape: tuple[int, str, str], pts_s: float) -> None:
        self._resample()
        if self._resampler is not None:
            self._parts += [_samples(part) for part in self._resampler.resample(None)]
        self._close_run()
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        self._shape, self._anchor_s, self._in_s, self._out = shape, pts_s, 0.0, 0

    def _close_run(self) -> None:
        self._resample()
        if self._parts:
            pcm = np.concatenate(self._parts)
            self._runs.append(SoundRun(self._anchor_s + self._out / RATE_HZ, pcm))
            self._out += len(pcm)
            self._parts = []


def _samples(frame: AudioFrame) -> Pcm:
    samples: Pcm = frame.to_ndarray()[0]
    return samples


def first_pts_s(body: bytes, container: str) -> float:
    """Return the earliest timestamp of a segment over all its streams, in seconds.

    Raises:
        CorruptMedia: the segment cannot be read or tells no time.
    """
    with opened(body, container) as media:
        starts = [
            float(stream.start_time * stream.time_base)
            for stream in media.streams
            if stream.start_time is not None and stream.time_base is not None
        ]
    if not starts:
        raise CorruptMedia("the segment tells no timestamps")
    return min(starts)
