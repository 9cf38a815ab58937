"""Rasterises captions: each word once by resvg, each state composed from words, as raw frames.

Law: it decides nothing; the same states give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache

import resvg_py
from PIL import Image, ImageFilter

from render.captions import Box, CaptionState, Page, PlacedWord, Shown, Span, strip_area
from render.drawing import word_sprite
from render.fonts import Fonts
from render.settings import CaptionSettings

_SPRITES_MAX = 256

# Shares of red, green and blue, and what is added: BT.709, 16 to 235 and 16 to 240.
_LUMA = (0.182586, 0.614231, 0.062007, 16.0)
_CHROMA_U = (-0.100644, -0.338572, 0.439216, 128.0)
_CHROMA_V = (0.439216, -0.398942, -0.040274, 128.0)

Planes = tuple[Image.Image, Image.Image, Image.Image, Image.Image]
"""Y, U and V at half the size, A."""


def rasterise(svg: str, fonts: Fonts) -> Image.Image:
    """Return an SVG as RGBA, drawn with these fonts only."""
    png = resvg_py.svg_to_bytes(
        svg_string=svg,
        skip_system_fonts=True,
        font_files=[str(face.path) for face in fonts.faces],
    )
    with Image.open(io.BytesIO(bytes(png))) as image:
        return image.convert("RGBA")


def to_planes(image: Image.Image) -> Planes:
    """Return an RGBA picture of even size as BT.709 limited-range YUVA 4:2:0, straight alpha."""
    colors = image.convert("RGB")
    halved = colors.reduce(2)
    return (
        colors.convert("L", _LUMA),
        halved.convert("L", _CHROMA_U),
        halved.convert("L", _CHROMA_V),
        image.getchannel("A"),
    )


class StripPainter:
    """Paints the caption states of one render."""

    def __init__(
        self, pages: Sequence[Page], style: CaptionSettings, box: Box, fonts: Fonts
    ) -> None:
        self._pages = pages
        self._style = style
        self._fonts = fonts
        self._sprite = lru_cache(maxsize=_SPRITES_MAX)(self._draw_sprite)
        self.area = strip_area(pages, style, box)

    def frames(self, spans: Sequence[Span]) -> Iterator[bytes]:
        """Yield raw yuva420p frames of the area, one for each output frame."""
        blank = _joined(to_planes(self._blank()))
        resting_of: tuple[int, int] | None = None
        resting = self._blank()
        planes = to_planes(resting)
        for span in spans:
            state = span.state
            if state is None:
                frame = blank
            else:
                if resting_of != (state.page, state.active):
                    resting_of = (state.page, state.active)
                    resting = self._rest(state)
                    planes = to_planes(resting)
                frame = _joined(self._with_active(resting, planes, state))
            for _ in range(span.frames):
                yield frame

    def picture(self, state: CaptionState) -> Image.Image:
        """Return one state of the area as RGBA: what a preview shows."""
        image = self._rest(state)
        sprite, left, top = self._active(state)
        image.alpha_composite(sprite, (left, top))
        return image

    def _blank(self) -> Image.Image:
        return Image.new("RGBA", (self.area.width, self.area.height))

    def _rest(self, state: CaptionState) -> Image.Image:
        """Return the page without its active word."""
        image = self._blank()
        page = self._pages[state.page]
        for number, word in enumerate(page.words):
            if number != state.active:
                sprite = self._sprite(word.shown, word.width, page.size_px, False)
                image.alpha_composite(sprite, self._corner(word, sprite))
        return image

    def _active(self, state: CaptionState) -> tuple[Image.Image, int, int]:
        page = self._pages[state.page]
        word = page.words[state.active]
        sprite = self._sprite(word.shown, word.width, page.size_px, True)
        left, top = self._corner(word, sprite)
        if state.scale != 1.0:
            grow = 1 / state.scale
            shift_x, shift_y = (side / 2 * (1 - grow) for side in sprite.size)
            sprite = sprite.transform(
                sprite.size,
                Image.Transform.AFFINE,
                (grow, 0.0, shift_x, 0.0, grow, shift_y),
                Image.Resampling.BILINEAR,
            )
        return sprite, left, top

    def _with_active(self, resting: Image.Image, planes: Planes, state: CaptionState) -> Planes:
        sprite, left, top = self._active(state)
        right, bottom = left + sprite.width, top + sprite.height
        region = resting.crop((left, top, right, bottom))
        region.alpha_composite(sprite)
        painted = tuple(plane.copy() for plane in planes)
        for plane, patch, step in zip(painted, to_planes(region), (1, 2, 2, 1), strict=True):
            plane.paste(patch, (left // step, top // step))
        return painted[0], painted[1], painted[2], painted[3]

    def _corner(self, word: PlacedWord, sprite: Image.Image) -> tuple[int, int]:
        """Return the sprite's even upper left corner within the area."""
        left = round((word.center_x - self.area.x - sprite.width / 2) / 2) * 2
        top = round((word.center_y - self.area.y - sprite.height / 2) / 2) * 2
        return (
            min(max(0, left), self.area.width - sprite.width),
            min(max(0, top), self.area.height - sprite.height),
        )

    def _draw_sprite(
        self, shown: Shown, width_px: float, size_px: float, active: bool
    ) -> Image.Image:
        face = self._fonts.faces[shown.face]
        style = self._style
        drawn = word_sprite(
            shown.text,
            width_px=width_px,
            size_px=size_px,
            family=face.family,
            weight=face.weight,
            fill=style.active_color if active else style.fill_color,
            style=style,
        )
        letters = rasterise(drawn.svg, self._fonts)
        if style.shadow_alpha <= 0:
            return letters
        depth = letters.getchannel("A").point(lambda value: round(value * style.shadow_alpha))
        depth = depth.filter(ImageFilter.GaussianBlur(size_px * 0.06))
        shadow = Image.new("RGBA", letters.size)
        shadow.putalpha(depth)
        under = Image.new("RGBA", letters.size)
        under.paste(shadow, (0, round(size_px * 0.05)))
        under.alpha_composite(letters)
        return under


def _joined(planes: Planes) -> bytes:
    return b"".join(plane.tobytes() for plane in planes)
