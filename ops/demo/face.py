"""The streamer's face in the corner of the demo's stream, drawn."""

from __future__ import annotations

from typing import Literal

from PIL import Image, ImageDraw

FACE_WIDTH = 320
FACE_HEIGHT = 240
MOUTHS = 5
"""Steps from a closed to a wide open mouth."""

Mood = Literal["calm", "excited"]
MOODS: tuple[Mood, ...] = ("calm", "excited")

_SKIN = (238, 186, 150)
_SHADE = (214, 156, 122)
_HAIR = (72, 44, 36)
_WHITE = (250, 248, 244)
_DARK = (36, 28, 34)
_SCALE = 3
"""Drawn larger and made small, so that edges are smooth."""


def draw_face(mood: Mood, mouth: int, *, blink: bool) -> Image.Image:
    """Return the picture of the camera: a head, a headset, a room behind.

    Args:
        mood: `excited` lifts the brows and raises both hands.
        mouth: 0 closed to `MOUTHS` - 1 wide open.
        blink: the eyes are shut.
    """
    image = Image.new("RGB", (FACE_WIDTH * _SCALE, FACE_HEIGHT * _SCALE), (46, 40, 66))
    pen = _Pen(ImageDraw.Draw(image))
    _room(pen)
    lift = -8 if mood == "excited" else 0
    _body(pen, lift)
    _head(pen, lift)
    _eyes(pen, lift, blink=blink, wide=mood == "excited")
    _mouth(pen, lift, mouth)
    if mood == "excited":
        for x in (52, 268):
            pen.oval(x - 24, 78, x + 24, 134, _SKIN)
            for finger in (-18, -6, 6, 18):
                pen.bar(x + finger, 52, x + finger, 92, _SKIN, 10)
    image = image.resize((FACE_WIDTH, FACE_HEIGHT), Image.Resampling.LANCZOS)
    frame = ImageDraw.Draw(image)
    frame.rectangle([0, 0, FACE_WIDTH - 1, FACE_HEIGHT - 1], outline=(150, 110, 255), width=4)
    return image


class _Pen:
    """Draws in the coordinates of the small picture."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw

    def oval(
        self, left: float, top: float, right: float, bottom: float, fill: tuple[int, int, int]
    ) -> None:
        box = [value * _SCALE for value in (left, top, right, bottom)]
        self._draw.ellipse(box, fill=fill)

    def block(
        self, left: float, top: float, right: float, bottom: float, fill: tuple[int, int, int]
    ) -> None:
        box = [value * _SCALE for value in (left, top, right, bottom)]
        self._draw.rounded_rectangle(box, 6 * _SCALE, fill=fill)

    def bar(
        self,
        x: float,
        y: float,
        to_x: float,
        to_y: float,
        fill: tuple[int, int, int],
        width: float,
    ) -> None:
        line = [value * _SCALE for value in (x, y, to_x, to_y)]
        self._draw.line(line, fill=fill, width=int(width * _SCALE))

    def arc(
        self,
        box: tuple[float, float, float, float],
        start: int,
        end: int,
        fill: tuple[int, int, int],
        width: float,
    ) -> None:
        scaled = [value * _SCALE for value in box]
        self._draw.arc(scaled, start, end, fill=fill, width=int(width * _SCALE))


def _room(pen: _Pen) -> None:
    pen.block(14, 20, 92, 70, (70, 58, 110))
    pen.block(22, 28, 84, 62, (110, 90, 170))
    pen.block(238, 18, 306, 116, (60, 52, 80))
    for shelf, colour in ((30, (210, 120, 110)), (62, (120, 180, 160)), (92, (220, 190, 110))):
        pen.block(246, shelf, 298, shelf + 18, colour)


def _body(pen: _Pen, lift: int) -> None:
    pen.block(60, 196 + lift, 260, 300, (60, 110, 180))
    pen.block(138, 168 + lift, 182, 214 + lift, _SHADE)


def _head(pen: _Pen, lift: int) -> None:
    pen.oval(88, 26 + lift, 232, 150 + lift, _HAIR)
    pen.oval(100, 44 + lift, 220, 194 + lift, _SKIN)
    pen.oval(104, 32 + lift, 216, 86 + lift, _HAIR)
    pen.arc((86, 24 + lift, 234, 172 + lift), 180, 360, _DARK, 8)
    pen.block(80, 94 + lift, 104, 142 + lift, _DARK)
    pen.block(216, 94 + lift, 240, 142 + lift, _DARK)
    pen.oval(152, 112 + lift, 168, 138 + lift, _SHADE)


def _eyes(pen: _Pen, lift: int, *, blink: bool, wide: bool) -> None:
    for x in (134, 186):
        if blink:
            pen.bar(x - 13, 106 + lift, x + 13, 106 + lift, _DARK, 4)
        else:
            tall = 13 if wide else 9
            pen.oval(x - 14, 106 - tall + lift, x + 14, 106 + tall + lift, _WHITE)
            pen.oval(x - 6, 100 + lift, x + 6, 112 + lift, _DARK)
        brow = 80 if wide else 88
        pen.bar(x - 16, brow + lift, x + 16, brow - 2 + lift, _HAIR, 6)


def _mouth(pen: _Pen, lift: int, mouth: int) -> None:
    if mouth == 0:
        pen.arc((136, 138 + lift, 184, 168 + lift), 20, 160, (150, 60, 66), 5)
        return
    half = 5 + mouth * 5
    pen.oval(160 - 25, 158 - half + lift, 160 + 25, 158 + half + lift, (120, 36, 46))
    if mouth >= 2:
        pen.block(144, 158 - half + 2 + lift, 176, 158 - half + 9 + lift, _WHITE)
        pen.oval(148, 158 + half / 3 + lift, 172, 158 + half - 1 + lift, (220, 110, 110))
