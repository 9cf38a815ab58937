"""Pages of words, and what they look like at each frame.

Law: pure; a page never reflows while it is shown, only its active word changes colour and size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from render.settings import CaptionSettings

DESIGN_WIDTH_PX = 1080
PEAK_SCALE = 1.06
"""The active word's largest size."""
_BEGIN = 0.88
_PEAK_AT = 0.55


@dataclass(frozen=True, slots=True)
class Shown:
    """A word's text as a font can draw it."""

    text: str
    face: int
    """Which of the fonts."""


class Measure(Protocol):
    """What layout asks of fonts."""

    def shown(self, text: str) -> Shown | None:
        """Return what can be drawn of a text; None when no font has any of it."""
        ...

    def width(self, shown: Shown, size_px: float) -> float:
        """Return the advance width in pixels."""
        ...


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word at its place on the canvas, in pixels."""

    shown: Shown
    start_s: float
    end_s: float
    center_x: float
    center_y: float
    """Middle of the capitals."""
    width: float


@dataclass(frozen=True, slots=True)
class Page:
    """Words that stand on the screen together."""

    words: tuple[PlacedWord, ...]
    size_px: float
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class CaptionState:
    """What the captions look like: which page, which active word, at which size."""

    page: int
    active: int
    scale: float


@dataclass(frozen=True, slots=True)
class Span:
    """A state and the frames that show it; `state` is None while nothing is shown."""

    state: CaptionState | None
    first_frame: int
    frames: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """Where words may stand, in canvas pixels; symmetric about the middle of the canvas."""

    left: float
    right: float
    top: float
    bottom: float
    center_y: float

    @classmethod
    def of(cls, style: CaptionSettings, canvas_w: int, center_y: float | None) -> Box:
        """Return the safe box on a canvas of this width, made symmetric so words are centred."""
        zoom = canvas_w / DESIGN_WIDTH_PX
        half = min(
            DESIGN_WIDTH_PX / 2 - style.box_left_px, style.box_right_px - DESIGN_WIDTH_PX / 2
        )
        return cls(
            left=canvas_w / 2 - half * zoom,
            right=canvas_w / 2 + half * zoom,
            top=style.box_top_px * zoom,
            bottom=style.box_bottom_px * zoom,
            center_y=style.center_y_px * zoom if center_y is None else center_y,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StripArea:
    """The part of the canvas that captions are drawn in; all even, in pixels."""

    x: int
    y: int
    width: int
    height: int


def strip_area(pages: Sequence[Page], style: CaptionSettings, box: Box) -> StripArea:
    """Return the smallest area that holds every page with its outlines and shadows."""
    size_px = max((page.size_px for page in pages), default=0.0)
    rows = [word.center_y for page in pages for word in page.words] or [box.center_y]
    edge = style.size_px * 0.15
    margin = size_px * 0.75 + style.outline_px + 4
    x = max(0, int(box.left - edge) // 2 * 2)
    y = max(0, int(min(rows) - margin) // 2 * 2)
    return StripArea(
        x=x,
        y=y,
        width=-(-int(box.right + edge - x) // 2) * 2,
        height=-(-int(max(rows) + margin - y) // 2) * 2,
    )


def pop_scale(elapsed_s: float, style: CaptionSettings) -> float:
    """Return the active word's size, `elapsed_s` after it began: 0.88, up to 1.06, then 1."""
    if not style.pop or elapsed_s >= style.pop_s:
        return 1.0
    share = max(0.0, elapsed_s) / style.pop_s
    if share < _PEAK_AT:
        return round(_BEGIN + (PEAK_SCALE - _BEGIN) * math.sin(math.pi / 2 * share / _PEAK_AT), 3)
    fall = (share - _PEAK_AT) / (1 - _PEAK_AT)
    return round(PEAK_SCALE - (PEAK_SCALE - 1) * (1 - math.cos(math.pi * fall)) / 2, 3)


def state_at(pages: Sequence[Page], at_s: float, style: CaptionSettings) -> CaptionState | None:
    """Return what is shown at this second; a word stays active until the next one begins."""
    for number, page in enumerate(pages):
        if page.start_s <= at_s < page.end_s:
            begun = [index for index, word in enumerate(page.words) if word.start_s <= at_s]
            active = begun[-1]
            return CaptionState(number, active, pop_scale(at_s - page.words[active].start_s, style))
    return None


def spans(pages: Sequence[Page], fps: float, frames: int, style: CaptionSettings) -> list[Span]:
    """Return the states of `frames` frames, equal neighbours joined.

    A frame is judged by its middle, so that a word changes at the frame nearest to its onset.
    """
    found: list[Span] = []
    first = 0
    for frame in range(frames):
        at_s = (frame + 0.5) / fps
        while first < len(pages) and pages[first].end_s <= at_s:
            first += 1
        state = state_at(pages[first : first + 1], at_s, style)
        if state is not None:
            state = CaptionState(first, state.active, state.scale)
        if found and found[-1].state == state:
            found[-1] = Span(state, found[-1].first_frame, found[-1].frames + 1)
        else:
            found.append(Span(state, frame, 1))
    return found
