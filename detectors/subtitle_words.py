"""The words of a subtitle file, ready to be told segment by segment."""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Sequence

from bus.events import Word

WORDS_MAX = 500_000


class SubtitleWords:
    """Words on the media clock, by their start."""

    def __init__(self, words: Sequence[Word]) -> None:
        self._words = sorted(words, key=lambda word: word.start_s)

    def between(self, start_s: float, end_s: float) -> tuple[Word, ...]:
        """Return the words that start at or after `start_s` and before `end_s`."""
        first = bisect.bisect_left(self._words, start_s, key=lambda word: word.start_s)
        last = bisect.bisect_left(self._words, end_s, key=lambda word: word.start_s)
        return tuple(self._words[first:last])


def parse_words(body: bytes) -> SubtitleWords:
    """Read a JSON array of {text, start_s, end_s, confidence?}.

    Raises:
        ValueError: it is none, or longer than WORDS_MAX.
    """
    rows = json.loads(body)
    if not isinstance(rows, list) or len(rows) > WORDS_MAX:
        raise ValueError(f"words are a JSON array of at most {WORDS_MAX} objects")
    return SubtitleWords([_word(row) for row in rows])


def _word(row: object) -> Word:
    if not isinstance(row, dict) or not {"text", "start_s", "end_s"} <= row.keys():
        raise ValueError("each word is an object with text, start_s and end_s")
    times = (float(row["start_s"]), float(row["end_s"]), float(row.get("confidence", 1.0)))
    if not all(map(math.isfinite, times)):
        raise ValueError("a word's times are numbers of seconds")
    return Word(text=str(row["text"]), start_s=times[0], end_s=times[1], confidence=times[2])
