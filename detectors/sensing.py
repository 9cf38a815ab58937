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
from typing import Literal, TypeVar, TypeVarTuple

from bus.events import (
    Event,
    FrameDescribed,
    LoudnessMeasured,
    SegmentMissing,
    SegmentStored,
    SessionStarted,
    SpeechHeard,
    Word,
)
from bus.ports import Meter
from bus.turns import Turns
from detectors.ear import Ear, Heard, Seen, SegmentBytes, see
from detectors.hops import Hops
from detectors.phrase import PhraseSpotter
from detectors.picture import frame_is_due
from detectors.settings import SensesSettings
from detectors.sound import HOP_S, Hit, Piece
from detectors.subtitle_words import SubtitleWords, parse_words
from store.errors import ObjectMissing
from store.keys import frame_key, ring_key
from store.objects import Objects

_LOG = logging.getLogger(__name__)

Engine = Literal["phrase_spotter", "subtitles", "whisper"]
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


class Sensing:
    """The senses of one session; segments are given in order, one at a time."""

    def __init__(self, tools: Tools, started: SessionStarted | None) -> None:
        self._tools = tools
        self._ear = Ear(tools.settings)
        self._is_live = started is None or started.kind == "live"
        self._words_key = None if started is None else started.words_key
        self._words_zero_s = 0.0 if started is None else started.vod_start_s
        self._words: SubtitleWords | None = None
        self._init: tuple[str, bytes] | None = None
        self._frame_tries = 0
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
        media = await self._read(segment)
        if media is None:
            events: list[Event] = []
            words = await self._subtitles(segment)
            loudness = gap(segment)
        elif segment.muted:
            # The ear hears nothing of it, so that its silence changes no measure of what is usual.
            events = await self._frames(segment, await self._look(media))
            words = await self._subtitles(segment)
            loudness = gap(segment)
            self._count("muted")
        else:
            await self._warm(media)
            heard, seen = await self._open(media)
            hits = await self._spot(segment, heard.pieces)
            events = await self._frames(segment, seen)
            if hits:
                events.append(_speech(segment, "phrase_spotter", _hit_words(hits)))
            words = await self._subtitles(segment)
            loudness = _loudness(segment, heard.hops)
        if words:
            events.append(_speech(segment, "subtitles", words))
        return [*events, loudness]

    def moved_to(self, segment: SegmentStored | SegmentMissing) -> None:
        """Note that the segment's features have been published."""
        self.end_s = max(self.end_s, segment.end_s)

    async def _read(self, segment: SegmentStored) -> SegmentBytes | None:
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
        return await self._in_thread(SegmentBytes, segment, body, init)

    async def _init_section(self, key: str | None) -> bytes | None:
        if key is None:
            return None
        if self._init is None or self._init[0] != key:
            self._init = (key, await self._get(key))
        return self._init[1]

    async def _get(self, key: str) -> bytes:
        async with asyncio.timeout(self._tools.settings.object_timeout_s):
            return await self._tools.objects.get(key)

    async def _warm(self, media: SegmentBytes) -> None:
        """After a restart, hear the segment before this one, so that nothing sounds cut off."""
        segment = media.segment
        key = segment.object_key
        if not self._ear.is_fresh or segment.seq <= 0 or key is None:
            return
        suffix = key.rpartition(".")[2]
        names = (segment.tenant_id, segment.session_id, segment.epoch)
        if key != ring_key(*names, segment.seq, suffix):
            return
        try:
            before = await self._get(ring_key(*names, segment.seq - 1, suffix))
        except ObjectMissing:
            return
        init = None if self._init is None else self._init[1]
        body = before if init is None else init + before
        pieces = await self._in_thread(self._ear.warm, media, body)
        await self._tools.spotter.hear(segment.session_id, pieces)

    async def _open(self, media: SegmentBytes) -> tuple[Heard, Seen | None]:
        segment = media.segment
        async with self._tools.turns.turn(live=self._is_live):
            heard = await self._in_thread(self._ear.hear, media)
        seen = await self._look(media)
        if heard.packet_errors:
            self._tools.meter.count("clipthat_senses_packet_errors_total", heard.packet_errors)
        self._count(heard.problem or "heard")
        if heard.problem == "corrupt":
            _LOG.warning(
                "segment cannot be decoded",
                extra={"session": segment.session_id, "epoch": segment.epoch, "seq": segment.seq},
            )
        return heard, seen

    async def _look(self, media: SegmentBytes) -> Seen | None:
        """Return the segment's picture, when one is due."""
        segment, settings = media.segment, self._tools.settings
        if frame_is_due(segment.channel_id, segment.media_s, segment.end_s, settings.frame_every_s):
            self._frame_tries = _FRAME_TRIES
        if self._frame_tries == 0:
            return None
        async with self._tools.turns.turn(live=self._is_live):
            seen = await self._in_thread(see, media, settings)
        self._frame_tries = 0 if seen is not None else self._frame_tries - 1
        return seen

    async def _in_thread(self, work: Callable[[*_Args], _Answer], *args: *_Args) -> _Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tools.threads, work, *args)

    async def _spot(self, segment: SegmentStored, pieces: tuple[Piece, ...]) -> list[Hit]:
        return await self._tools.spotter.hear(segment.session_id, pieces)

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

    def _count(self, outcome: str) -> None:
        self._tools.meter.count("clipthat_senses_segments_total", outcome=outcome)


def gap(segment: SegmentStored | SegmentMissing) -> LoudnessMeasured:
    """Return the measure of a segment that cannot be heard."""
    return LoudnessMeasured(
        tenant_id=segment.tenant_id,
        channel_id=segment.channel_id,
        session_id=segment.session_id,
        epoch=segment.epoch,
        seq=segment.seq,
        media_s=segment.media_s,
        duration_s=segment.duration_s,
        hop_s=HOP_S,
        gap=True,
    )


def _loudness(segment: SegmentStored, hops: Hops | None) -> LoudnessMeasured:
    if hops is None:
        return gap(segment)
    return LoudnessMeasured(
        tenant_id=segment.tenant_id,
        channel_id=segment.channel_id,
        session_id=segment.session_id,
        epoch=segment.epoch,
        seq=segment.seq,
        media_s=segment.media_s,
        duration_s=segment.duration_s,
        hop_s=HOP_S,
        rms_db=hops.rms_db,
        voice=hops.voice,
    )


def _speech(segment: SegmentStored, engine: Engine, words: tuple[Word, ...]) -> SpeechHeard:
    return SpeechHeard(
        tenant_id=segment.tenant_id,
        channel_id=segment.channel_id,
        session_id=segment.session_id,
        epoch=segment.epoch,
        seq=segment.seq,
        media_s=segment.media_s,
        duration_s=segment.duration_s,
        words=words,
        engine=engine,
    )


def _hit_words(hits: list[Hit]) -> tuple[Word, ...]:
    """Share each hit's time among the words of its phrase by their length."""
    words: list[Word] = []
    for hit in hits:
        texts = hit.phrase.split()
        at_s, letters = hit.start_s, sum(map(len, texts))
        for text in texts:
            end_s = at_s + (hit.end_s - hit.start_s) * len(text) / letters
            words.append(
                Word(
                    text=text,
                    start_s=round(at_s, 3),
                    end_s=round(end_s, 3),
                    confidence=hit.confidence,
                )
            )
            at_s = end_s
    return tuple(words)
