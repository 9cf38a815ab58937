"""Turns one session's segments into events: reads, listens, looks, tells.

Law: each segment event gives exactly one LoudnessMeasured, after everything else about it,
whatever is wrong with the segment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TypeVar, TypeVarTuple

from bus.events import (
    Event,
    FrameDescribed,
    SegmentMissing,
    SegmentStored,
    SessionStarted,
    Word,
)
from bus.ports import Meter
from bus.turns import Turns
from detectors.ear import Ear, Heard, Seen, SegmentBytes, see
from detectors.phrase import PhraseSpotter
from detectors.picture import frame_is_due
from detectors.settings import SensesSettings
from detectors.shed import Shed, Told, What
from detectors.sound import Hit, Piece
from detectors.subtitle_words import SubtitleWords, parse_words
from detectors.telling import gap, hit_words, loudness, speech
from store.errors import ObjectMissing
from store.keys import frame_key, ring_key
from store.objects import Objects

_LOG = logging.getLogger(__name__)

_FRAME_TRIES = 5
"""A segment may come without a key frame; one of the next will have one, or there is no picture."""
_Answer = TypeVar("_Answer")
_Args = TypeVarTuple("_Args")


@dataclass(frozen=True, slots=True)
class Tools:
    """What all sessions share."""

    objects: Objects
    settings: SensesSettings
    meter: Meter
    spotter: PhraseSpotter
    turns: Turns
    threads: Executor


@dataclass(frozen=True, slots=True)
class _Read:
    """A segment's bytes."""

    body: bytes
    init: bytes | None
    before: bytes | None
    """The segment before it, with its init section; wanted after a restart only."""


@dataclass(slots=True)
class _Found:
    """What opening a segment gives."""

    earlier: tuple[Piece, ...] = ()
    heard: Heard | None = None
    """None: it is muted."""
    seen: Seen | None = None


class Sensing:
    """The senses of one session; segments are given in order, one at a time."""

    def __init__(
        self, tools: Tools, started: SessionStarted | None, *, overloaded: bool = False
    ) -> None:
        """`overloaded`: as for `Shed`."""
        self._tools = tools
        self._ear = Ear(tools.settings)
        self._is_live = started is None or started.kind == "live"
        self._words_key = None if started is None else started.words_key
        self._words_zero_s = 0.0 if started is None else started.vod_start_s
        self._words: SubtitleWords | None = None
        self._init: tuple[str, bytes] | None = None
        self._last: SegmentStored | SegmentMissing | None = None
        self._frame_tries = 0
        self._is_searched = False
        self.shed = Shed(tools.settings.shed, live=self._is_live, overloaded=overloaded)
        """What is left out while the machine cannot keep up."""
        self.mode = "live" if self._is_live else "replay"
        """For metrics."""
        self.end_s = 0.0
        """Media time up to which the session has been sensed."""

    async def sense(self, segment: SegmentStored | SegmentMissing) -> list[Event]:
        """Return the segment's features, LoudnessMeasured last.

        Raises:
            StoreError: the object store failed in another way than not having the object.
        """
        if isinstance(segment, SegmentMissing):
            self._count("missing")
            return [gap(segment)]
        if self.shed.leaves_out("segments"):
            self._leave_out("segments", segment)
            self._count("shed")
            return [gap(segment)]
        read = await self._read(segment)
        events: list[Event] = []
        measured = gap(segment)
        if read is not None:
            found = await self._open(segment, read)
            events = await self._frames(segment, found.seen)
            if found.heard is not None:
                hits = await self._spot(segment, found.earlier, found.heard.pieces)
                if hits:
                    events.append(speech(segment, "phrase_spotter", hit_words(hits)))
                measured = loudness(segment, found.heard.hops)
        words = await self._subtitles(segment)
        if words:
            events.append(speech(segment, "subtitles", words))
        return [*events, measured]

    def moved_to(self, segment: SegmentStored | SegmentMissing) -> None:
        """Note that the segment's features have been published."""
        self.end_s = max(self.end_s, segment.end_s)
        self._last = segment

    def end(self) -> list[Told]:
        """Return what is left to be told when no more segments will come."""
        return [] if self._last is None else self.shed.end(self._last)

    async def _read(self, segment: SegmentStored) -> _Read | None:
        if segment.object_key is None:
            self._count("no_object")
            return None
        try:
            init = await self._init_section(segment.init_key)
            body = await self._get(segment.object_key)
        except ObjectMissing:
            self._count("evicted")
            _LOG.warning(
                "segment gone before it was heard",
                extra={"session": segment.session_id, "segment": segment.object_key},
            )
            return None
        return _Read(body, init, await self._before(segment, init))

    async def _init_section(self, key: str | None) -> bytes | None:
        if key is None:
            return None
        if self._init is None or self._init[0] != key:
            self._init = (key, await self._get(key))
        return self._init[1]

    async def _get(self, key: str) -> bytes:
        async with asyncio.timeout(self._tools.settings.object_timeout_s):
            return await self._tools.objects.get(key)

    async def _before(self, segment: SegmentStored, init: bytes | None) -> bytes | None:
        """Return the segment before the first one of a restart, so that nothing sounds cut off."""
        key = segment.object_key
        if not self._ear.is_fresh or segment.muted or segment.seq <= 0 or key is None:
            return None
        suffix = key.rpartition(".")[2]
        names = (segment.tenant_id, segment.session_id, segment.epoch)
        if key != ring_key(*names, segment.seq, suffix):
            return None
        try:
            body = await self._get(ring_key(*names, segment.seq - 1, suffix))
        except ObjectMissing:
            return None
        return body if init is None else init + body

    async def _open(self, segment: SegmentStored, read: _Read) -> _Found:
        """Hear and look, in one turn: what has begun is not held up by who came later."""
        found = _Found()
        async with self._tools.turns.turn(live=self._is_live):
            media = await self._in_thread(SegmentBytes, segment, read.body, read.init)
            if not segment.muted:
                if read.before is not None:
                    found.earlier = await self._in_thread(self._ear.warm, media, read.before)
                found.heard = await self._in_thread(self._ear.hear, media)
            found.seen = await self._look(media)
        self._count_heard(segment, found.heard)
        return found

    def _count_heard(self, segment: SegmentStored, heard: Heard | None) -> None:
        """Count; the ear hears nothing of a muted segment, whose silence is no usual sound."""
        if heard is None:
            self._count("muted")
            return
        if heard.packet_errors:
            self._tools.meter.count("clipthat_senses_packet_errors_total", heard.packet_errors)
        self._count(heard.problem or "heard")
        if heard.problem == "corrupt":
            _LOG.warning(
                "segment cannot be decoded",
                extra={"session": segment.session_id, "epoch": segment.epoch, "seq": segment.seq},
            )

    async def _look(self, media: SegmentBytes) -> Seen | None:
        """Return the segment's picture, when one is due."""
        segment, settings = media.segment, self._tools.settings
        if frame_is_due(segment.channel_id, segment.media_s, segment.end_s, settings.frame_every_s):
            self._frame_tries = _FRAME_TRIES
        if self._frame_tries == 0:
            return None
        if self.shed.leaves_out("frames"):
            self._frame_tries = 0
            self._leave_out("frames", segment)
            return None
        seen = await self._in_thread(see, media, settings)
        self._frame_tries = 0 if seen is not None else self._frame_tries - 1
        return seen

    async def _in_thread(self, work: Callable[[*_Args], _Answer], *args: *_Args) -> _Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tools.threads, work, *args)

    async def _spot(
        self, segment: SegmentStored, earlier: tuple[Piece, ...], pieces: tuple[Piece, ...]
    ) -> list[Hit]:
        """Return the phrases in `pieces`; those in `earlier` have been told before a restart."""
        spotter, session_id = self._tools.spotter, segment.session_id
        if not self.shed.leaves_out("phrases"):
            self._is_searched = True
            await spotter.hear(session_id, earlier, live=self._is_live)
            return await spotter.hear(session_id, pieces, live=self._is_live)
        if pieces and self._tools.settings.phrase.enabled:
            self._leave_out("phrases", segment)
        if self._is_searched:
            # What comes later must not be joined to a voice whose middle has not been heard.
            self._is_searched = False
            await spotter.forget(session_id)
        return []

    async def _frames(self, segment: SegmentStored, seen: Seen | None) -> list[Event]:
        if seen is None:
            return []
        key = frame_key(segment.tenant_id, segment.session_id, seen.media_s)
        async with asyncio.timeout(self._tools.settings.object_timeout_s):
            await self._tools.objects.put(key, seen.picture.jpeg)
        self._tools.meter.count("clipthat_senses_frames_total")
        return [
            FrameDescribed(
                tenant_id=segment.tenant_id,
                channel_id=segment.channel_id,
                session_id=segment.session_id,
                media_s=seen.media_s,
                frame_key=key,
                width=seen.picture.width,
                height=seen.picture.height,
                picture_hash=seen.picture.picture_hash,
            )
        ]

    async def _subtitles(self, segment: SegmentStored) -> tuple[Word, ...]:
        if self._words_key is None:
            return ()
        if self._words is None:
            self._words = await self._load_words(self._words_key)
        zero_s = self._words_zero_s
        words = self._words.between(segment.media_s + zero_s, segment.end_s + zero_s)
        if not zero_s:
            return words
        return tuple(
            replace(word, start_s=word.start_s - zero_s, end_s=word.end_s - zero_s)
            for word in words
        )

    async def _load_words(self, key: str) -> SubtitleWords:
        try:
            return parse_words(await self._get(key))
        except (ObjectMissing, ValueError) as error:
            self._tools.meter.count("clipthat_senses_words_unreadable_total")
            _LOG.warning("subtitle words cannot be read", extra={"key": key, "why": str(error)})
            return SubtitleWords(())

    def _leave_out(self, what: What, segment: SegmentStored) -> None:
        self.shed.left_out(what, segment)
        self._tools.meter.count("clipthat_shed_total", what=what, kind=self.mode)

    def _count(self, outcome: str) -> None:
        self._tools.meter.count("clipthat_senses_segments_total", outcome=outcome)
