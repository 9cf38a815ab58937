"""Spots phrases in one session's sound: what runs inside a phrase spotter process.

Law: no numpy, no PyAV and no asyncio in here, so that a process starts quickly and stays small.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pocketsphinx import Decoder, get_model_path

from detectors.errors import PhraseUnknown
from detectors.sound import RATE_HZ, Hit, Piece

_FRAME_S = 0.01
_DECADES = 20.0
"""A likelihood of 10^-20 is no confidence at all."""
_LOG_BASE = math.log(1.0001)
_SCORE_UNIT = 1024
_SCORE_OFFSET = 1500
"""The recogniser tells a hit's score in units of 1.0001^1024, shifted by 1500, as if it were a
plain logarithm to the base 1.0001."""
_UTTERANCE_MAX_S = 30.0
_UTTERANCE_OVERLAP_S = 1.5
"""Sound heard again after an utterance has been cut, so that no phrase falls between two."""
_SAME_HIT_S = 0.5
_SETTLE_S = 0.35
"""A hit this close to the newest sound may still be improved; `padding_s` of silence is longer."""


def dictionary_path() -> Path:
    """Return the pronouncing dictionary that comes with the recogniser."""
    return Path(get_model_path("en-us/cmudict-en-us.dict"))


def check_phrases(phrases: Sequence[str]) -> None:
    """Make sure that every word can be spotted.

    Raises:
        PhraseUnknown: a word is not in the recogniser's dictionary; the message names it.
    """
    wanted = {word for phrase in phrases for word in phrase.lower().split()}
    with dictionary_path().open(encoding="utf-8") as lines:
        for line in lines:
            wanted.discard(line.partition(" ")[0])
            if not wanted:
                return
    if wanted:
        words = ", ".join(sorted(wanted))
        raise PhraseUnknown(
            f"the phrase spotter does not know how to pronounce: {words}; "
            "use other words in its phrases or switch it off"
        )


class Listener:
    """One session's decoder. Feed pieces in order; hits come with exact media times."""

    def __init__(self, phrases: Sequence[str], threshold: float) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".kws", encoding="utf-8") as lines:
            lines.writelines(f"{phrase.lower()} /{threshold:g}/\n" for phrase in phrases)
            lines.flush()
            self._decoder = Decoder(kws=lines.name, lm=None, loglevel="FATAL")
        self._is_open = False
        self._base_s = 0.0
        self._samples = 0
        self._tail = b""
        self._last: dict[str, float] = {}

    def hear(self, piece: Piece) -> list[Hit]:
        """Take the next piece and return the phrases that have been heard by its end."""
        ended: list[Hit] = []
        if piece.begins or not self._is_open:
            ended = self._close()
            self._open(piece.start_s)
        if piece.pcm:
            self._feed(piece.pcm)
        if piece.ends:
            return ended + self._close()
        settled_s = self._base_s + self._samples / RATE_HZ - _SETTLE_S
        hits = self._collect(settled_s)
        if self._samples > _UTTERANCE_MAX_S * RATE_HZ:
            self._reopen()
        return ended + hits

    def _open(self, start_s: float) -> None:
        self._decoder.start_utt()
        self._is_open, self._base_s, self._samples, self._tail = True, start_s, 0, b""

    def _feed(self, pcm: bytes) -> None:
        self._decoder.process_raw(pcm, False, False)
        self._samples += len(pcm) // 2
        self._tail = (self._tail + pcm)[-2 * int(_UTTERANCE_OVERLAP_S * RATE_HZ) :]

    def _close(self) -> list[Hit]:
        if not self._is_open:
            return []
        self._decoder.end_utt()
        self._is_open = False
        return self._collect(math.inf)

    def _reopen(self) -> None:
        """Begin a new utterance, since one utterance keeps growing for as long as it is open.

        What has not settled yet is heard again.
        """
        tail = self._tail
        start_s = self._base_s + (self._samples - len(tail) // 2) / RATE_HZ
        self._decoder.end_utt()
        self._open(start_s)
        self._feed(tail)

    def _collect(self, settled_s: float) -> list[Hit]:
        hits = []
        for seg in self._decoder.seg() or ():
            phrase = seg.word.strip()
            start_s = self._base_s + seg.start_frame * _FRAME_S
            if not phrase or start_s <= self._last.get(phrase, -math.inf) + _SAME_HIT_S:
                continue
            end_s = self._base_s + (seg.end_frame + 1) * _FRAME_S
            if end_s > settled_s:
                continue
            self._last[phrase] = start_s
            confidence = min(1.0, max(0.0, 1.0 + _decades(seg.prob) / _DECADES))
            hits.append(Hit(phrase, round(start_s, 3), round(end_s, 3), round(confidence, 3)))
        return sorted(hits, key=lambda hit: hit.start_s)


def _decades(told: float) -> float:
    """Return the decimal logarithm of a hit's likelihood against everything else, 0 at most."""
    units = math.log(max(told, 1e-300)) / _LOG_BASE + _SCORE_OFFSET
    return min(0.0, units * _SCORE_UNIT * _LOG_BASE / math.log(10))
