"""What is told of a segment: its loudness, the words heard in it, or that there is a gap.

Law: pure; an event's names and place are its segment's.
"""

from __future__ import annotations

from typing import Literal

from bus.events import LoudnessMeasured, SegmentMissing, SegmentStored, SpeechHeard, Word
from detectors.hops import Hops
from detectors.sound import HOP_S, Hit

Engine = Literal["phrase_spotter", "subtitles", "whisper"]


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


def loudness(segment: SegmentStored, hops: Hops | None) -> LoudnessMeasured:
    """Return the measure of a segment; None: there was no sound in it."""
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


def speech(segment: SegmentStored, engine: Engine, words: tuple[Word, ...]) -> SpeechHeard:
    """Return the words of a segment."""
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


def hit_words(hits: list[Hit]) -> tuple[Word, ...]:
    """Return the words of phrases; each hit's time is shared among its words by their length."""
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
