"""Words beside a video: subtitles or a transcript, as words on the media clock.

Law: the parsers are pure; a cue's time is shared out among its words by their length.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson
import pysubs2

from bus.events import Word
from ingest.errors import SourceUnusable
from store.keys import session_key
from store.objects import Objects

BYTES_MAX = 64_000_000
WORDS_MAX = 1_000_000
_WORD_CHARS_MAX = 100
_EXPECTED = (
    "expected subtitles (.srt, .vtt) or JSON words: "
    '{"words": [{"text": "hello", "start_s": 1.0, "end_s": 1.4}]}'
)
_TAG = re.compile(r"<[^>]*>|\{\\[^}]*\}|&(?:nbsp|lrm|rlm);")
_NOISE = re.compile(r"\[[^\]]*\]|[♪♫]")
_WORDY = re.compile(r"\w")
_SUFFIXES = (".words.json", ".srt", ".vtt")


class WordsError(SourceUnusable):
    """A file of words cannot be read; the message says what is expected."""


def find_words(video: Path) -> Path | None:
    """Return the file of words that stands beside a video, the most exact kind first.

    `talk.mp4` has its words in `talk.words.json`, `talk.srt`, `talk.en.srt`, `talk.vtt`.
    """
    stem = video.stem
    for suffix in _SUFFIXES:
        exact = video.with_name(stem + suffix)
        if exact.is_file():
            return exact
        named = re.compile(re.escape(stem) + r"\.[A-Za-z]{2,3}(?:-[A-Za-z0-9]+)?" + suffix)
        for path in sorted(video.parent.glob("*" + suffix)):
            if named.fullmatch(path.name) and path.is_file():
                return path
    return None


def parse_words(text: str, suffix: str) -> list[Word]:
    """Return the words of a file's text, in the order of their time.

    Args:
        text: what the file says.
        suffix: `.srt`, `.vtt` or `.json`, in either case.

    Raises:
        WordsError: it is not what the suffix says.
    """
    words = parse_json(text) if suffix.casefold() == ".json" else parse_subtitles(text)
    words.sort(key=lambda word: (word.start_s, word.end_s))
    return words[:WORDS_MAX]


def parse_subtitles(text: str) -> list[Word]:
    """Return the words of .srt or .vtt subtitles.

    Raises:
        WordsError: they hold no cue.
    """
    try:
        cues = pysubs2.SSAFile.from_string(text.lstrip("\ufeff"))
    except (pysubs2.Pysubs2Error, ValueError, IndexError) as error:
        raise WordsError(f"no subtitles are found ({error}); {_EXPECTED}") from error
    words = [
        word
        for cue in cues.events
        if not cue.is_comment
        for word in _shared_out(cue.text, cue.start / 1000.0, cue.end / 1000.0)
    ]
    if not words:
        raise WordsError(f"the subtitles hold no words; {_EXPECTED}")
    return words


def parse_json(text: str) -> list[Word]:
    """Return the words of a JSON transcript: an array, `words`, or Whisper's `segments`.

    Raises:
        WordsError: it is no JSON, or holds no words with times.
    """
    try:
        document = orjson.loads(text.lstrip("\ufeff"))
    except orjson.JSONDecodeError as error:
        raise WordsError(f"the words are no JSON ({error}); {_EXPECTED}") from error
    words = [word for record in _records(document) for word in _word(record)]
    if not words:
        raise WordsError(f"the JSON holds no words with times; {_EXPECTED}")
    return words


def to_json(words: Iterable[Word]) -> bytes:
    """Return words as the JSON array that events refer to."""
    return orjson.dumps(
        [
            {
                "text": word.text,
                "start_s": round(word.start_s, 3),
                "end_s": round(word.end_s, 3),
                "confidence": word.confidence,
            }
            for word in words
        ]
    )


async def store_words(objects: Objects, *, tenant_id: str, session_id: str, path: Path) -> str:
    """Read a file of words, store it for a session and return its key.

    Raises:
        WordsError: it cannot be read, is too large, or holds no words.
        StorageFull: no space is left.
    """
    body = await asyncio.to_thread(_read, path)
    key = session_key(tenant_id, session_id, "words.json")
    await objects.put(key, body)
    return key


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > BYTES_MAX:
            raise WordsError(f"{path} is larger than {BYTES_MAX // 1_000_000} MB; {_EXPECTED}")
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise WordsError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return to_json(parse_words(text, path.suffix))
    except WordsError as error:
        raise WordsError(f"{path}: {error}") from error


def _shared_out(text: str, start_s: float, end_s: float) -> list[Word]:
    """Share a cue's time out among its words, by their length and a letter for the pause."""
    plain = _NOISE.sub(" ", _TAG.sub(" ", text.replace(r"\N", " ").replace(r"\n", " ")))
    texts = [word[:_WORD_CHARS_MAX] for word in plain.split() if _WORDY.search(word)]
    if not texts or not end_s > start_s:
        return []
    letter_s = (end_s - start_s) / sum(len(word) + 1 for word in texts)
    words = []
    at_s = start_s
    for word in texts:
        until_s = at_s + (len(word) + 1) * letter_s
        words.append(Word(text=word, start_s=at_s, end_s=min(until_s, end_s)))
        at_s = until_s
    return words


def _records(document: object) -> Sequence[object]:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return ()
    if isinstance(document.get("words"), list):
        return list(document["words"])
    segments = document.get("segments")
    if not isinstance(segments, list):
        return ()
    return [record for segment in segments for record in _of_segment(segment)]


def _of_segment(segment: object) -> Sequence[object]:
    """Return a segment's words, or the segment itself where it tells only its text."""
    if not isinstance(segment, dict):
        return ()
    words = segment.get("words")
    return words if isinstance(words, list) else (segment,)


def _word(record: object) -> list[Word]:
    """Return what one record says: a word, or a phrase whose time is shared out."""
    if not isinstance(record, dict):
        return []
    text = record.get("text", record.get("word"))
    start_s = _time(record, "start_s", "start")
    end_s = _time(record, "end_s", "end")
    if not isinstance(text, str) or start_s is None or end_s is None or end_s < start_s:
        return []
    if len(text.split()) != 1:
        return _shared_out(text, start_s, end_s)
    sure = _time(record, "confidence", "probability")
    return [
        Word(
            text=text.strip()[:_WORD_CHARS_MAX],
            start_s=start_s,
            end_s=end_s,
            confidence=1.0 if sure is None else min(max(sure, 0.0), 1.0),
        )
    ]


def _time(record: Mapping[str, object], *names: str) -> float | None:
    for name in names:
        value = record.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None
