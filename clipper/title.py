"""A short plain title for a clip, from what is known when it is planned.

Law: pure; a title holds no link, no control character and at most 64 characters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from clipper.merge import clock
from clipper.port import Pick

TITLE_MAX = 64
_LINK = re.compile(r"(?:https?://|www\.)\S+|\b\S+\.(?:com|tv|gg|net|org|io)(?:/\S*)?\b", re.I)
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
_COMMAND = re.compile(r"^!|\bclip(?:ped)?\s+(?:that|it|this)\b", re.I)
_WORDS_MIN, _WORDS_MAX = 2, 10


def clean(text: str) -> str:
    """Return one line of text without links, unseen characters and doubled spaces."""
    return " ".join(_UNSEEN.sub(" ", _LINK.sub(" ", text)).split())


def make_title(pick: Pick, samples: Sequence[str], zero_s: float = 0.0) -> str:
    """Return the line that chat repeats most around the moment, else what and when it is.

    `Clip at 1:02:33`, or `Lively moment at 1:02:33` where no detector saw one.

    Args:
        samples: chat lines near the peak, in order of time.
        zero_s: where media second zero stands in the whole recording, whose time is named.
    """
    lines = [line for line in map(clean, samples) if _speaks(line)]
    counts = Counter(line.casefold() for line in lines)
    if counts:
        folded, times = max(counts.items(), key=lambda pair: (pair[1], -len(pair[0]), pair[0]))
        if times >= 2:
            return _short(next(line for line in lines if line.casefold() == folded))
    what = "Lively moment" if pick.kinds == ("lively",) else "Clip"
    return f"{what} at {clock(zero_s + pick.peak_s)}"


def _speaks(line: str) -> bool:
    """Say whether a line reads as a few plain words, not as a command or an emote."""
    words = line.split()
    if not _WORDS_MIN <= len(words) <= _WORDS_MAX or _COMMAND.search(line):
        return False
    return len({word.casefold() for word in words}) > 1 and any(map(str.isalpha, line))


def _short(line: str) -> str:
    return line if len(line) <= TITLE_MAX else line[: TITLE_MAX - 1].rstrip() + "…"
