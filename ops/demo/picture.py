"""The picture of the demo's stream: a small game, a streamer's face, a counter; frame by frame.

Everything is drawn once with Pillow and turned into planes of YUV 4:2:0; a frame is then put
together from slices of arrays in about a millisecond. Law: frame n is always the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import font_roboto
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ops.demo.face import FACE_HEIGHT, FACE_WIDTH, MOODS, MOUTHS, Mood, draw_face
from ops.demo.script import FPS, MOMENTS, Moment

WIDTH = 1280
HEIGHT = 720

_Plane = NDArray[np.uint8]

_GROUND_Y = 560
_SCROLL_FAR = 1
_SCROLL_NEAR = 4
_FAR_WIDTH = 2560
_NEAR_WIDTH = 3840
_HILLS_Y = 330
_HERO_X = 300
_HERO_SIZE = 96
_FACE_X, _FACE_Y = WIDTH - FACE_WIDTH - 24, HEIGHT - FACE_HEIGHT - 24
_BANNER_S = 5.0
_BLAST_S = 1.6
_EXCITED_S = 7.0
_BLINK_EVERY = 97


@dataclass(frozen=True, slots=True)
class _Sprite:
    """A drawing as planes, with the mask of what is drawn where it is not a full rectangle."""

    y: _Plane
    u: _Plane
    v: _Plane
    mask: NDArray[np.bool_] | None = None


class Picture:
    """All drawings, ready to be put together."""

    def __init__(self) -> None:
        self._far = _sprite(_draw_far())
        self._near = _sprite(_draw_near(), transparent=True)
        self._hero = [_sprite(_draw_hero(step), transparent=True) for step in range(4)]
        self._coin = [_sprite(_draw_coin(turn), transparent=True) for turn in range(4)]
        self._blast = [_sprite(_draw_blast(step), transparent=True) for step in range(12)]
        self._banners = {
            moment.banner: _sprite(_draw_banner(moment.banner), transparent=True)
            for moment in MOMENTS
        }
        self._faces = {
            (mood, mouth, blink): _sprite(draw_face(mood, mouth, blink=blink))
            for mood in MOODS
            for mouth in range(MOUTHS)
            for blink in (False, True)
        }
        self._digits = {text: _sprite(_draw_digit(text)) for text in "0123456789:# "}
        self._frame = np.empty(WIDTH * HEIGHT * 3 // 2, np.uint8)

    def frame(self, number: int, mouth: float) -> bytes:
        """Return a frame as planar YUV 4:2:0.

        Args:
            number: counts from zero at `FPS`.
            mouth: how far the streamer's mouth is open, 0 to 1.
        """
        at_s = number / FPS
        planes = self._planes()
        self._world(planes, number)
        self._action(planes, number, at_s)
        self._streamer(planes, number, at_s, mouth)
        self._counter(planes, number, at_s)
        return self._frame.tobytes()

    def _planes(self) -> tuple[_Plane, _Plane, _Plane]:
        size = WIDTH * HEIGHT
        half = (HEIGHT // 2, WIDTH // 2)
        return (
            self._frame[:size].reshape(HEIGHT, WIDTH),
            self._frame[size : size * 5 // 4].reshape(half),
            self._frame[size * 5 // 4 :].reshape(half),
        )

    def _world(self, planes: tuple[_Plane, _Plane, _Plane], number: int) -> None:
        far_x = number // 2 * 2 * _SCROLL_FAR % (_FAR_WIDTH - WIDTH) // 2 * 2
        _put(planes, _cropped(self._far, far_x, WIDTH), 0, 0)
        near_x = number * _SCROLL_NEAR % (_NEAR_WIDTH - WIDTH)
        _put(planes, _cropped(self._near, near_x, WIDTH), 0, _HILLS_Y)

    def _action(self, planes: tuple[_Plane, _Plane, _Plane], number: int, at_s: float) -> None:
        for place in range(3):
            x = _HERO_X + 260 + place * 220 - number * _SCROLL_NEAR % 220
            _put(planes, self._coin[number // 5 % 4], x // 2 * 2, _GROUND_Y - 150)
        moment = _latest(at_s)
        jump = abs(math.sin(number / 14.0)) * (26 if moment is None else 90)
        y = _GROUND_Y - _HERO_SIZE + 6 - int(jump)
        _put(planes, self._hero[number // 4 % 4], _HERO_X, y // 2 * 2)
        if moment is None:
            return
        since_s = at_s - moment.at_s
        if since_s < _BLAST_S:
            step = int(since_s / _BLAST_S * len(self._blast))
            _put(planes, self._blast[step], 520, 220)
        if since_s < _BANNER_S:
            _put(planes, self._banners[moment.banner], 190, 96 + int(6 * math.sin(number / 5)) * 2)

    def _streamer(
        self, planes: tuple[_Plane, _Plane, _Plane], number: int, at_s: float, mouth: float
    ) -> None:
        moment = _latest(at_s)
        is_excited = moment is not None and at_s - moment.at_s < _EXCITED_S
        mood: Mood = "excited" if is_excited else "calm"
        blink = number % _BLINK_EVERY < 4
        step = min(int(mouth * MOUTHS), MOUTHS - 1)
        _put(planes, self._faces[mood, step, blink], _FACE_X, _FACE_Y)

    def _counter(self, planes: tuple[_Plane, _Plane, _Plane], number: int, at_s: float) -> None:
        seconds = int(at_s)
        text = f"{seconds // 60:02d}:{seconds % 60:02d} #{number:05d}"
        for place, character in enumerate(text):
            _put(planes, self._digits[character], 24 + place * 22, 24)


def _latest(at_s: float) -> Moment | None:
    """Return the moment that the picture is still full of, if any."""
    return next((moment for moment in MOMENTS if 0.0 <= at_s - moment.at_s < _EXCITED_S), None)


def _put(planes: tuple[_Plane, _Plane, _Plane], sprite: _Sprite, x: int, y: int) -> None:
    """Lay a sprite over the frame; `x` and `y` are even, what sticks out is cut off."""
    height, width = sprite.y.shape
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(width, WIDTH - x), min(height, HEIGHT - y)
    if left >= right or top >= bottom:
        return
    for plane, drawn, scale in zip(planes, (sprite.y, sprite.u, sprite.v), (1, 2, 2), strict=True):
        rows = slice((y + top) // scale, (y + bottom) // scale)
        columns = slice((x + left) // scale, (x + right) // scale)
        part = (slice(top // scale, bottom // scale), slice(left // scale, right // scale))
        if sprite.mask is None:
            plane[rows, columns] = drawn[part]
        else:
            mask = sprite.mask[::scale, ::scale][part]
            np.copyto(plane[rows, columns], drawn[part], where=mask)


def _cropped(sprite: _Sprite, x: int, width: int) -> _Sprite:
    half = slice(x // 2, (x + width) // 2)
    whole = slice(x, x + width)
    mask = None if sprite.mask is None else sprite.mask[:, whole]
    return _Sprite(sprite.y[:, whole], sprite.u[:, half], sprite.v[:, half], mask)


def _sprite(image: Image.Image, *, transparent: bool = False) -> _Sprite:
    """Turn a drawing into planes in the television range."""
    rgba = np.asarray(image.convert("RGBA"), np.float32)
    red, green, blue = rgba[..., 0], rgba[..., 1], rgba[..., 2]
    y = 16 + 0.1826 * red + 0.6142 * green + 0.0620 * blue
    u = 128 - 0.1006 * red - 0.3386 * green + 0.4392 * blue
    v = 128 + 0.4392 * red - 0.3989 * green - 0.0403 * blue
    mask = rgba[..., 3] > 127 if transparent else None
    return _Sprite(_bytes(y), _bytes(u[::2, ::2]), _bytes(v[::2, ::2]), mask)


def _bytes(plane: NDArray[np.float32]) -> _Plane:
    return np.ascontiguousarray(np.clip(np.rint(plane), 0, 255).astype(np.uint8))


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_roboto.RobotoBlack, size)


def _draw_far() -> Image.Image:
    """The sky, a moon, stars and far hills; its right half repeats its left."""
    period = _FAR_WIDTH - WIDTH
    image = Image.new("RGB", (_FAR_WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for y in range(HEIGHT):
        share = y / HEIGHT
        colour = (int(38 + 150 * share), int(30 + 70 * share), int(92 + 60 * share))
        draw.line([(0, y), (_FAR_WIDTH, y)], fill=colour)
    dice = np.random.default_rng(3)
    for x, y, size in dice.integers((0, 0, 1), (period, 300, 4), (70, 3)):
        for shift in (0, period):
            draw.ellipse([x + shift, y, x + shift + size, y + size], fill=(240, 230, 255))
    for shift in (0, period):
        draw.ellipse([860 + shift, 70, 980 + shift, 190], fill=(255, 236, 190))
    _hills(draw, _FAR_WIDTH, period, (74, 52, 110), lambda angle: 420 - 60 * math.sin(3 * angle))
    _hills(draw, _FAR_WIDTH, period, (56, 44, 92), lambda angle: 480 - 45 * math.sin(5 * angle + 1))
    return image


def _hills(
    draw: ImageDraw.ImageDraw,
    width: int,
    period: int,
    colour: tuple[int, int, int],
    top: Callable[[float], float],
) -> None:
    outline = [(x, top(2 * math.pi * x / period)) for x in range(0, width + 8, 8)]
    draw.polygon([(0, HEIGHT), *outline, (width, HEIGHT)], fill=colour)


def _draw_near() -> Image.Image:
    """The ground, bushes and towers that pass by, from `_HILLS_Y` down."""
    period = _NEAR_WIDTH - WIDTH
    top = _GROUND_Y - _HILLS_Y
    image = Image.new("RGBA", (_NEAR_WIDTH, HEIGHT - _HILLS_Y), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    dice = np.random.default_rng(4)
    places = dice.integers((0, 60), (period - 200, 190), (14, 2))
    for shift in (0, period):
        for number, (x, tall) in enumerate(places):
            left = int(x) + shift
            if number % 3 == 0:
                draw.rectangle([left, top - tall, left + 70, top], fill=(92, 74, 132))
                draw.rectangle(
                    [left - 8, top - tall - 16, left + 78, top - tall], fill=(122, 96, 160)
                )
                draw.rectangle(
                    [left + 25, top - tall + 20, left + 45, top - tall + 52], fill=(250, 210, 120)
                )
            else:
                draw.ellipse([left, top - 54, left + 120, top + 40], fill=(44, 120, 92))
                draw.ellipse([left + 50, top - 36, left + 150, top + 40], fill=(56, 140, 100))
    draw.rectangle([0, top, _NEAR_WIDTH, HEIGHT], fill=(88, 62, 54))
    draw.rectangle([0, top, _NEAR_WIDTH, top + 22], fill=(96, 190, 110))
    for x in range(0, _NEAR_WIDTH, 80):
        draw.rectangle([x + 10, top + 50, x + 50, top + 66], fill=(72, 50, 46))
        draw.rectangle([x + 44, top + 100, x + 78, top + 114], fill=(72, 50, 46))
    return image


def _draw_hero(step: int) -> Image.Image:
    image = Image.new("RGBA", (_HERO_SIZE, _HERO_SIZE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    swing = (-14, 0, 14, 0)[step]
    for direction in (-1, 1):
        foot = 48 + direction * swing
        draw.line([(48, 64), (foot, 90)], fill=(40, 44, 90), width=12)
        draw.ellipse([foot - 10, 84, foot + 14, 95], fill=(230, 220, 210))
    draw.rounded_rectangle([30, 34, 66, 70], 12, fill=(220, 70, 80))
    draw.ellipse([28, 4, 70, 46], fill=(250, 205, 165))
    draw.pieslice([24, -2, 74, 44], 180, 360, fill=(50, 90, 210))
    draw.rectangle([60, 18, 84, 24], fill=(50, 90, 210))
    draw.ellipse([56, 24, 62, 32], fill=(30, 30, 40))
    return image


def _draw_coin(turn: int) -> Image.Image:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    half = (18, 13, 6, 13)[turn]
    draw = ImageDraw.Draw(image)
    draw.ellipse(
        [20 - half, 2, 20 + half, 38], fill=(255, 205, 60), outline=(190, 130, 20), width=3
    )
    return image


def _draw_blast(step: int) -> Image.Image:
    image = Image.new("RGBA", (360, 360), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    dice = np.random.default_rng(step)
    reach = 40 + 12 * step
    for colour, share in (((255, 120, 40), 1.0), ((255, 200, 70), 0.7), ((255, 250, 220), 0.4)):
        points = []
        for spike in range(24):
            radius = reach * share * (1.0 if spike % 2 else 0.62) * dice.uniform(0.85, 1.15)
            angle = 2 * math.pi * spike / 24 + step * 0.1
            points.append((180 + radius * math.cos(angle), 180 + radius * math.sin(angle)))
        draw.polygon(points, fill=colour)
    return image


def _draw_banner(text: str) -> Image.Image:
    image = Image.new("RGBA", (900, 140), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.text(
        (450, 70),
        text,
        font=_font(112),
        anchor="mm",
        fill=(255, 226, 60),
        stroke_width=8,
        stroke_fill=(40, 20, 60),
    )
    return image


def _draw_digit(text: str) -> Image.Image:
    image = Image.new("RGB", (22, 36), (16, 14, 30))
    ImageDraw.Draw(image).text((11, 18), text, font=_font(30), anchor="mm", fill=(255, 255, 255))
    return image
