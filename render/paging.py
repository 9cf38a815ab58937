"""Words → pages: which words stand together, in which lines, how large, for how long.

Law: pure; every word of a page lies within the safe box, even while it pops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from render.captions import PEAK_SCALE, Box, Measure, Page, PlacedWord, Shown
from render.settings import CaptionSettings
from render.words import SpokenWord, mask_word

_LINE_HEIGHT = 1.14
_SHRINK_MAX = 0.18
"""A page of several words is drawn smaller by this share, at most; else it is shared out."""
_SHRINK_COST = 3.0
_LACKING_COST = 0.09
_NEVER = 1e6
_SENTENCE_ENDS = (".", "!", "?", "…", ":", ";", "。", "！", "？", "؟", "।")


@dataclass(frozen=True, slots=True)
class _Piece:
    word: SpokenWord
    shown: Shown


def lay_out(
    words: Sequence[SpokenWord],
    *,
    duration_s: float,
    style: CaptionSettings,
    box: Box,
    zoom: float,
    measure: Measure,
) -> list[Page]:
    """Return the pages of settled words; `zoom` is canvas width over 1080.

    Words that no font can draw are left out; ask `undrawable` which.
    """
    pieces = [
        _Piece(word, shown)
        for word in words
        if (shown := measure.shown(display_text(word.text, style))) is not None
    ]
    page_maker = _PageMaker(style, box, zoom, measure)
    groups = [group for phrase in _phrases(pieces, style) for group in page_maker.share_out(phrase)]
    pages = []
    for index, group in enumerate(groups):
        last = group[-1].word
        following_s = groups[index + 1][0].word.start_s if index + 1 < len(groups) else math.inf
        near = following_s - last.end_s <= style.pause_s
        end_s = following_s if near else min(last.end_s + style.hold_s, following_s)
        pages.append(page_maker.place(group, min(end_s, duration_s)))
    return pages


def undrawable(words: Sequence[SpokenWord], style: CaptionSettings, measure: Measure) -> list[str]:
    """Return the words that lose characters because no font has them."""
    lost = []
    for word in words:
        wanted = display_text(word.text, style)
        shown = measure.shown(wanted)
        if shown is None or shown.text != wanted:
            lost.append(word.text)
    return lost


def display_text(text: str, style: CaptionSettings) -> str:
    """Return a word as it is shown: masked, without closing commas, in capitals."""
    shown = mask_word(text, style.masked_words)
    bare = shown.rstrip(",.;:")
    shown = bare or shown
    return shown.upper() if style.uppercase else shown


def _phrases(pieces: Sequence[_Piece], style: CaptionSettings) -> list[list[_Piece]]:
    phrases: list[list[_Piece]] = []
    current: list[_Piece] = []
    for index, piece in enumerate(pieces):
        following = pieces[index + 1] if index + 1 < len(pieces) else None
        current.append(piece)
        text = piece.word.text
        ends = text.endswith(_SENTENCE_ENDS) or (text.endswith(",") and len(current) >= 3)
        pauses = following is None or following.word.start_s - piece.word.end_s > style.pause_s
        if ends or pauses:
            phrases.append(current)
            current = []
    return phrases


class _PageMaker:
    """Breaks phrases into pages and places their words."""

    def __init__(self, style: CaptionSettings, box: Box, zoom: float, measure: Measure) -> None:
        self._style = style
        self._box = box
        self._measure = measure
        self._size_px = style.size_px * zoom
        self._size_min_px = style.size_min_px * zoom
        # The outermost words must stay inside the box while they pop.
        self._room_px = (box.right - box.left - 2 * style.outline_px * zoom) / PEAK_SCALE

    def share_out(self, phrase: Sequence[_Piece]) -> list[Sequence[_Piece]]:
        """Return the phrase in pages: few, full and even, and hardly any drawn smaller."""
        cheapest: list[tuple[float, int]] = [(0.0, 0)]
        for end in range(1, len(phrase) + 1):
            starts = range(max(0, end - self._style.words_max), end)
            cheapest.append(
                min((cheapest[start][0] + self._cost(phrase[start:end]), start) for start in starts)
            )
        pages: list[Sequence[_Piece]] = []
        end = len(phrase)
        while end > 0:
            start = cheapest[end][1]
            pages.append(phrase[start:end])
            end = start
        return pages[::-1]

    def _cost(self, group: Sequence[_Piece]) -> float:
        """Return how little a page of these words is wanted."""
        shrink = 1 - self._size(self._lines(group)) / self._size_px
        if shrink > _SHRINK_MAX and len(group) > 1:
            return _NEVER
        lacking = self._style.words_max - len(group)
        return 1 + _LACKING_COST * lacking**2 + _SHRINK_COST * shrink

    def _space(self, size_px: float) -> float:
        return size_px * 0.2 + self._style.outline_px * 1.2 * size_px / self._style.size_px

    def _line_width(self, line: Sequence[_Piece], size_px: float) -> float:
        letters = sum(self._measure.width(piece.shown, size_px) for piece in line)
        return letters + self._space(size_px) * (len(line) - 1)

    def _lines(self, group: Sequence[_Piece]) -> list[Sequence[_Piece]]:
        """Return the group in as few lines as fit, or else in the narrowest way there is."""
        best: list[Sequence[_Piece]] = [group]
        best_width = self._line_width(group, self._size_px)
        for lines in range(2, min(self._style.lines_max, len(group)) + 1):
            if best_width <= self._room_px:
                break
            for breaks in combinations(range(1, len(group)), lines - 1):
                edges = (0, *breaks, len(group))
                split = [group[start:end] for start, end in pairwise(edges)]
                width = max(self._line_width(line, self._size_px) for line in split)
                if width < best_width:
                    best, best_width = split, width
        return best

    def _size(self, lines: Sequence[Sequence[_Piece]]) -> float:
        widest = max(self._line_width(line, self._size_px) for line in lines)
        size_px = self._size_px * min(1.0, self._room_px / max(widest, 1.0))
        tall = len(lines) * _LINE_HEIGHT * size_px
        return size_px * min(1.0, (self._box.bottom - self._box.top) / tall)

    def place(self, group: Sequence[_Piece], end_s: float) -> Page:
        group = [self._shorten(piece) for piece in group]
        lines = self._lines(group)
        size_px = self._size(lines)
        pitch = size_px * _LINE_HEIGHT
        block = pitch * len(lines)
        top = min(
            max(self._box.center_y - block / 2, self._box.top),
            self._box.bottom - block,
        )
        placed: list[PlacedWord] = []
        for row, line in enumerate(lines):
            x = (self._box.left + self._box.right - self._line_width(line, size_px)) / 2
            for piece in line:
                width = self._measure.width(piece.shown, size_px)
                placed.append(
                    PlacedWord(
                        piece.shown,
                        piece.word.start_s,
                        piece.word.end_s,
                        x + width / 2,
                        top + pitch * (row + 0.5),
                        width,
                    )
                )
                x += width + self._space(size_px)
        return Page(tuple(placed), size_px, group[0].word.start_s, end_s)

    def _shorten(self, piece: _Piece) -> _Piece:
        """Return the piece cut with an ellipsis where even the smallest letters are too wide."""
        if self._measure.width(piece.shown, self._size_min_px) <= self._room_px:
            return piece
        text = piece.shown.text
        while len(text) > 1:
            text = text[: len(text) * 9 // 10]
            shown = Shown(text + "…", piece.shown.face)
            if self._measure.width(shown, self._size_min_px) <= self._room_px:
                return _Piece(piece.word, shown)
        return piece
