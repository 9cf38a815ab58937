"""The words that are said, put in order before anything is laid out.

Law: pure; times are seconds from the clip's exact start, and after `settle_words` no two overlap.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

WORDS_MAX = 6000
_SHORTEST_S = 0.04


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and when it is said."""

    text: str
    start_s: float
    end_s: float


def parse_words(body: bytes) -> list[SpokenWord]:
    """Return the words of a JSON array of {text, start_s, end_s}.

    Raises:
        ValueError: it is something else.
    """
    rows = json.loads(body)
    if not isinstance(rows, list):
        raise ValueError("words are a JSON array")
    try:
        return [
            SpokenWord(str(row["text"]), float(row["start_s"]), float(row["end_s"]))
            for row in rows[:WORDS_MAX]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"a word lacks a field: {error!r}") from error


def settle_words(words: Sequence[SpokenWord], duration_s: float) -> list[SpokenWord]:
    """Return the words within the clip, in order, none shorter than a frame, none overlapping.

    A word that begins before the last one has ended cuts that one short.
    """
    settled: list[SpokenWord] = []
    for word in sorted(words, key=lambda word: (word.start_s, word.end_s)):
        if not word.text.split() or word.end_s <= 0 or word.start_s >= duration_s - _SHORTEST_S:
            continue
        start_s = max(0.0, word.start_s)
        if settled:
            start_s = max(start_s, settled[-1].start_s + _SHORTEST_S)
            if settled[-1].end_s > start_s:
                settled[-1] = replace(settled[-1], end_s=start_s)
        if start_s > duration_s - _SHORTEST_S:
            break
        end_s = min(duration_s, max(word.end_s, start_s + _SHORTEST_S))
        settled.append(SpokenWord(" ".join(word.text.split()), start_s, end_s))
    return settled


def mask_word(text: str, masked: Sequence[str]) -> str:
    """Return the word with all but its first letter starred, if it is one of `masked`."""
    letters = "".join(sign for sign in text if sign.isalnum())
    if not letters or letters.casefold() not in {word.casefold() for word in masked}:
        return text
    seen_first = False
    shown = []
    for sign in text:
        shown.append("*" if sign.isalnum() and seen_first else sign)
        seen_first = seen_first or sign.isalnum()
    return "".join(shown)
