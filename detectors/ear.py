"""One session's hearing: from the bytes of its segments to hops and stretches of voice.

Law: a segment is opened once; what is heard lies on the media clock by its timestamps, modulo
the 33-bit wrap, and goes on exactly from one segment to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus.events import SegmentStored
from detectors.decode import SoundDecoder, SoundRun, first_pts_s, wrapped_difference
from detectors.errors import CorruptMedia, NoAudio
from detectors.hops import HopMeter, Hops
from detectors.picture import Picture, first_picture
from detectors.settings import SensesSettings
from detectors.sound import Piece
from detectors.ts_audio import (
    Program,
    audio_packets,
    packet_pids,
    packet_rows,
    picture_packets,
    read_program,
)
from detectors.voice import VoicedStretches, VoiceGate

_WARM_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a segment sounds like."""

    hops: Hops | None
    """None when there is nothing to measure."""
    pieces: tuple[Piece, ...] = ()
    problem: str = ""
    """`corrupt`, `no_audio`, or empty."""
    packet_errors: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame and where it stands."""

    media_s: float
    picture: Picture


class SegmentBytes:
    """A segment in memory, with the parts of a transport stream found once."""

    def __init__(self, segment: SegmentStored, body: bytes, init: bytes | None) -> None:
        self.segment = segment
        self.container = segment.container
        self._whole = body if init is None else init + body
        self._body = body
        self._program: Program | None = None
        self._pts_s = segment.pts_s
        if self.container == "ts":
            self._find_program()

    def _find_program(self) -> None:
        """Look for the tables; libav may still read what we cannot, after a torn packet say."""
        try:
            self._rows = packet_rows(self._body)
            self._pids = packet_pids(self._rows)
            self._program = read_program(self._rows, self._pids)
        except CorruptMedia:
            self._program = None

    def sound(self) -> bytes:
        """Return the part of the segment that holds its sound.

        Raises:
            NoAudio: the stream table names no sound.
        """
        if self._program is None:
            return self._whole
        if self._program.audio_pid is None:
            raise NoAudio("the stream table names no audio stream")
        return audio_packets(self._rows, self._pids, self._program)

    def picture(self) -> bytes:
        """Return the part of the segment that holds its first key frame; may be empty."""
        if self._program is None:
            return self._whole
        return picture_packets(self._rows, self._pids, self._program)

    def place(self, pts_s: float) -> float:
        """Return the media time of a container timestamp.

        Raises:
            CorruptMedia: the segment's own first timestamp is not known and cannot be read.
        """
        if self._pts_s is None:
            self._pts_s = first_pts_s(self._whole, self.container)
        return self.segment.media_s + wrapped_difference(pts_s, self._pts_s)


class Ear:
    """Hears the segments of one session, in order. Not for two threads at the same time."""

    def __init__(self, settings: SensesSettings) -> None:
        self._settings = settings
        self._place: tuple[int, int] | None = None
        self._reset()

    def _reset(self) -> None:
        self._decoder = SoundDecoder()
        self._gate = VoiceGate(self._settings.voice_floor_db)
        self._stretches = VoicedStretches(self._settings.phrase.padding_s)
        self._meter = HopMeter()

    @property
    def is_fresh(self) -> bool:
        """Nothing has been heard yet, so the first moments of a segment would sound cut off."""
        return self._place is None

    def warm(self, media: SegmentBytes, body_before: bytes) -> tuple[Piece, ...]:
        """Hear the segment before `media`, whose event is not known, for its last moments' sake."""
        before = SegmentBytes(media.segment, body_before, None)
        segment = media.segment
        try:
            runs = self._decoder.decode(before.sound(), before.container)
            starts = [media.place(run.pts_s) - segment.media_s for run in runs]
            if any(not -_WARM_MAX_S < start_s < segment.duration_s for start_s in starts):
                self._reset()
                return ()
            pieces = self._take_in(media, runs)
        except (CorruptMedia, NoAudio):
            self._reset()
            return ()
        self._place = (segment.epoch, segment.disc)
        return pieces

    def hear(self, media: SegmentBytes) -> Heard:
        """Decode and measure the segment."""
        segment = media.segment
        pieces: tuple[Piece, ...] = ()
        if self._place != (segment.epoch, segment.disc):
            if self._place is not None:
                pieces = tuple(self._stretches.cut())
                self._reset()
            self._place = (segment.epoch, segment.disc)
        errors_before = self._decoder.errors
        try:
            runs = self._decoder.decode(media.sound(), media.container)
            pieces += self._take_in(media, runs)
        except NoAudio:
            return Heard(None, problem="no_audio")
        except CorruptMedia:
            return Heard(None, problem="corrupt")
        hops = self._meter.take(segment.media_s, segment.duration_s)
        problem = "no_audio" if hops is None else ""
        return Heard(hops, pieces, problem, self._decoder.errors - errors_before)

    def _take_in(self, media: SegmentBytes, runs: list[SoundRun]) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        for run in runs:
            start_s = media.place(run.pts_s)
            flags, frames = self._gate.feed(start_s, run.pcm)
            self._meter.add(start_s, run.pcm, flags)
            pieces += self._stretches.feed(frames)
        return tuple(pieces)


def see(media: SegmentBytes, settings: SensesSettings) -> Seen | None:
    """Decode the segment's first key frame; None when it has none that can be read."""
    body = media.picture()
    if not body:
        return None
    try:
        picture = first_picture(
            body,
            media.container,
            width_max=settings.frame_width_max,
            quality=settings.frame_quality,
        )
        if picture is None:
            return None
        at_s = media.place(picture.pts_s)
    except CorruptMedia:
        return None
    segment = media.segment
    return Seen(round(min(max(at_s, segment.media_s), segment.end_s), 3), picture)
