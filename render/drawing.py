"""SVG of what is drawn over the picture: a word, a title, the card of a clip without a picture.

Law: pure text; `strips.py` rasterises it, and a browser would draw the very same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from render.settings import CaptionSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Sprite:
    """A word's drawing: its size, and the letters' middle, which is the sprite's middle."""

    svg: str
    width: int
    height: int


def text_tag(text: str, *, x: float, y: float, size_px: float, family: str, weight: int) -> str:
    """Return the start of an SVG text element, middle-anchored at x with baseline y."""
    return (
        f'text-anchor="middle" x="{x:.2f}" y="{y:.2f}" font-family="{escape(family)}" '
        f'font-weight="{weight}" font-size="{size_px:.2f}">{escape(text)}</text>'
    )


def word_sprite(
    text: str,
    *,
    width_px: float,
    size_px: float,
    family: str,
    weight: int,
    fill: str,
    style: CaptionSettings,
) -> Sprite:
    """Return the drawing of one word with its outline, and room around for shadow and pop."""
    outline = style.outline_px * size_px / style.size_px
    margin = outline + size_px * 0.12
    width = 2 * math.ceil((width_px * 1.06 / 2) + margin)
    height = 2 * math.ceil(size_px * 0.6 + margin)
    # Capitals are 0.711 of the size high; their middle is the middle of the sprite.
    baseline = height / 2 + size_px * 0.3555
    tag = text_tag(text, x=width / 2, y=baseline, size_px=size_px, family=family, weight=weight)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">'
        f'<text fill="{fill}" stroke="{style.outline_color}" stroke-width="{2 * outline:.2f}" '
        f'stroke-linejoin="round" paint-order="stroke" {tag}</svg>'
    )
    return Sprite(svg=svg, width=width, height=height)


def title_svg(
    lines: Sequence[str],
    *,
    canvas_w: int,
    canvas_h: int,
    top_px: float,
    bar_w: float,
    size_px: float,
    family: str,
    weight: int,
) -> str:
    """Return a transparent canvas with the title in dark letters on a white bar, centred."""
    pitch = size_px * 1.5
    rows = []
    for row, line in enumerate(lines):
        tag = text_tag(
            line,
            x=canvas_w / 2,
            y=top_px + pitch * (row + 0.5) + size_px * 0.355,
            size_px=size_px,
            family=family,
            weight=weight,
        )
        rows.append(f'<text fill="#111111" {tag}')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{canvas_w}" height="{canvas_h}">'
        f'<rect x="{(canvas_w - bar_w) / 2:.1f}" y="{top_px:.1f}" width="{bar_w:.1f}" '
        f'height="{pitch * len(lines):.1f}" rx="{size_px * 0.35:.1f}" fill="#FFFFFF" '
        f'fill-opacity="0.94"/>{"".join(rows)}</svg>'
    )


def card_svg(
    lines: Sequence[str],
    *,
    canvas_w: int,
    canvas_h: int,
    size_px: float,
    family: str,
    weight: int,
) -> str:
    """Return the card of a clip that has sound only: its title above room for the waveform."""
    pitch = size_px * 1.2
    top = canvas_h * 0.33 - pitch * len(lines) / 2
    rows = []
    for row, line in enumerate(lines):
        tag = text_tag(
            line,
            x=canvas_w / 2,
            y=top + pitch * (row + 0.5) + size_px * 0.355,
            size_px=size_px,
            family=family,
            weight=weight,
        )
        rows.append(f'<text fill="#FFFFFF" {tag}')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{canvas_w}" height="{canvas_h}">'
        '<defs><linearGradient id="back" x1="0" y1="0" x2="0.4" y2="1">'
        '<stop offset="0" stop-color="#2B1B57"/><stop offset="1" stop-color="#0B0B14"/>'
        "</linearGradient></defs>"
        f'<rect width="{canvas_w}" height="{canvas_h}" fill="url(#back)"/>{"".join(rows)}</svg>'
    )
