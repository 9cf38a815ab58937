"""Finds trigger phrases among recognised words.

Law: spelling is forgiven as far as it sounds the same; words that merely look alike (flip, click)
are not taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NOT_LETTERS = re.compile(r"[^\w]+")
_DOUBLED = re.compile(r"(.)\1+")
_SAME_SOUND = {"dat": "that", "dis": "this", "klip": "clip"}
_THINGS = frozenset({"that", "it", "this"})
_LOOK_BACK = 4


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase stands in words[first:last]."""

    phrase: str
    first: int
    last: int


def sound_of(text: str) -> str:
    """Return a key that is equal for the ways in which a recogniser may write the same word."""
    word = _NOT_LETTERS.sub("", text.lower())
    word = _DOUBLED.sub(r"\1", word)
    if word.startswith("k") and len(word) > 2:
        word = "c" + word[1:]
    for ending in ("ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            word = word[: -len(ending)]
            break
    return _SAME_SOUND.get(word, word)


class PhraseMatcher:
    """Knows the phrases and the contexts in which they mean something else."""

    def __init__(self, phrases: Sequence[str], negatives: Sequence[str]) -> None:
        self._phrases = [(phrase, _sounds(phrase)) for phrase in phrases if _sounds(phrase)]
        self._negatives = [_sounds(negative) for negative in negatives if _sounds(negative)]

    def find(self, texts: Sequence[str]) -> list[Match]:
        """Return the phrases among the words, in order, those in a negative context left out."""
        sounds = [sound_of(text) for text in texts]
        matches: list[Match] = []
        at = 0
        while at < len(sounds):
            match = self._match_at(sounds, at)
            if match is not None and not self._is_negative(sounds, match):
                matches.append(match)
            at = match.last if match is not None else at + 1
        return matches

    def _match_at(self, sounds: Sequence[str], at: int) -> Match | None:
        for phrase, wanted in self._phrases:
            if sounds[at] == sound_of("".join(wanted)):
                return Match(phrase, at, at + 1)
            heard = sounds[at : at + len(wanted)]
            if len(heard) == len(wanted) and all(map(_alike, heard, wanted)):
                return Match(phrase, at, at + len(wanted))
        return None

    def _is_negative(self, sounds: Sequence[str], match: Match) -> bool:
        before = list(sounds[max(0, match.first - _LOOK_BACK) : match.first])
        verb = sounds[match.first]
        after = list(sounds[match.last : match.last + 1])
        phrase = list(sounds[match.first : match.last])
        contexts = (before + phrase + after, [*before, verb, *after])
        return any(
            _holds(context, negative) for negative in self._negatives for context in contexts
        )


def _sounds(phrase: str) -> list[str]:
    return [sound for sound in map(sound_of, phrase.split()) if sound]


def _alike(heard: str, wanted: str) -> bool:
    return heard == wanted or (heard in _THINGS and wanted in _THINGS)


def _holds(words: Sequence[str], part: Sequence[str]) -> bool:
    size = len(part)
    return any(list(words[at : at + size]) == list(part) for at in range(len(words) - size + 1))
