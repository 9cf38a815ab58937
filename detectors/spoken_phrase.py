"""The streamer said it: a spoken trigger phrase becomes a moment.

Law: what the phrase points at lies before it. A transcript that covers the same time has the last
word over the phrase spotter.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from bus.events import Event, LoudnessMeasured, MomentDetected, SessionStarted, SpeechHeard, Word
from detectors.phrase_match import PhraseMatcher
from detectors.settings import SpokenPhraseSettings

_WORDS_MAX = 400
_HIT_GAP_S = 0.02
_SURROUNDING_MIN = 3
_SAME_PHRASE_S = 1.5


@dataclass(frozen=True, slots=True)
class _Heard:
    phrase: str
    start_s: float
    end_s: float
    confidence: float
    engine: str


class SpokenPhrase:
    """Detector `spoken_phrase`."""

    name = "spoken_phrase"
    wants: ClassVar[tuple[type[Event], ...]] = (SpeechHeard, LoudnessMeasured)

    def __init__(
        self, started: SessionStarted, settings: SpokenPhraseSettings | None = None
    ) -> None:
        self._started = started
        self._settings = settings or SpokenPhraseSettings()
        self._matcher = PhraseMatcher(self._settings.phrases, self._settings.negatives)
        self._words: deque[Word] = deque(maxlen=_WORDS_MAX)
        self._engine = ""
        self._spotted: list[_Heard] = []
        self._matched_until_s = -math.inf
        self._quiet_until_s = -math.inf

    def feed(self, event: Event) -> list[MomentDetected]:
        """Collect words; decide when a segment's features are complete."""
        if isinstance(event, SpeechHeard):
            self._collect(event)
            return []
        if isinstance(event, LoudnessMeasured):
            return self._decide(event.end_s, final=False)
        return []

    def flush(self) -> list[MomentDetected]:
        """Decide on the last words, which nothing follows."""
        last_s = self._words[-1].end_s if self._words else 0.0
        return self._decide(last_s, final=True)

    def _collect(self, event: SpeechHeard) -> None:
        if event.engine == "phrase_spotter":
            self._spotted += _spotted(event.words)
        else:
            self._engine = event.engine
            self._words.extend(event.words)

    def _decide(self, now_s: float, *, final: bool) -> list[MomentDetected]:
        heard = self._read_transcript(now_s, final=final)
        waiting: list[_Heard] = []
        for spotted in self._spotted:
            if any(abs(said.end_s - spotted.end_s) < _SAME_PHRASE_S for said in heard):
                continue
            if not self._is_surrounded(spotted):
                heard.append(spotted)
            elif not final and now_s < spotted.end_s + self._settings.hold_s:
                waiting.append(spotted)
        self._spotted = waiting
        return [
            self._moment(said, now_s)
            for said in sorted(heard, key=lambda said: said.end_s)
            if self._take(said)
        ]

    def _read_transcript(self, now_s: float, *, final: bool) -> list[_Heard]:
        """Return phrases whose next word is known, or that have been followed by a pause."""
        words = [word for word in self._words if word.text.strip()]
        heard = []
        for match in self._matcher.find([word.text for word in words]):
            said = words[match.first : match.last]
            end_s = said[-1].end_s
            is_closed = match.last < len(words) or now_s >= end_s + self._settings.hold_s
            if said[0].start_s <= self._matched_until_s or not (is_closed or final):
                continue
            self._matched_until_s = said[0].start_s
            confidence = min(word.confidence for word in said)
            if confidence >= self._settings.confidence_min:
                phrase = " ".join(word.text.strip() for word in said)
                heard.append(_Heard(phrase, said[0].start_s, end_s, confidence, self._engine))
        return heard

    def _is_surrounded(self, spotted: _Heard) -> bool:
        """Say whether a transcript covers this time and would know better."""
        around_s = self._settings.context_s
        count = sum(
            spotted.start_s - around_s < word.end_s and word.start_s < spotted.end_s + around_s
            for word in self._words
        )
        return count >= _SURROUNDING_MIN

    def _take(self, said: _Heard) -> bool:
        if said.start_s < self._quiet_until_s:
            return False
        self._quiet_until_s = said.end_s + self._settings.refractory_s
        return True

    def _moment(self, said: _Heard, now_s: float) -> MomentDetected:
        settings = self._settings
        is_spotted = said.engine == "phrase_spotter"
        if is_spotted:
            score = settings.spotter_score * (0.5 + 0.5 * said.confidence)
        else:
            score = settings.transcript_score * said.confidence
        return MomentDetected(
            tenant_id=self._started.tenant_id,
            channel_id=self._started.channel_id,
            session_id=self._started.session_id,
            kind=self.name,
            start_s=round(max(0.0, said.start_s - settings.before_s), 2),
            peak_s=round(max(0.0, said.start_s - settings.peak_before_s), 2),
            end_s=round(said.end_s, 2),
            decided_s=round(max(now_s, said.end_s), 2),
            score=round(min(1.0, score), 3),
            evidence={
                "phrase": said.phrase,
                "said_s": round(said.start_s, 2),
                "engine": said.engine,
                "confidence": round(said.confidence, 2),
            },
        )


def _spotted(words: tuple[Word, ...]) -> list[_Heard]:
    """Join the spotter's words, which follow one another without a pause, to phrases."""
    phrases: list[_Heard] = []
    for word in words:
        last = phrases[-1] if phrases else None
        if last is not None and abs(word.start_s - last.end_s) <= _HIT_GAP_S:
            phrases[-1] = _Heard(
                f"{last.phrase} {word.text}",
                last.start_s,
                word.end_s,
                min(last.confidence, word.confidence),
                last.engine,
            )
        else:
            phrases.append(
                _Heard(word.text, word.start_s, word.end_s, word.confidence, "phrase_spotter")
            )
    return phrases
