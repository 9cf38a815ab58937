"""How a source picture fills the canvas: a registry of layouts, each a piece of a filter graph.

Law: pure; a layout reads `[source]` (constant rate, square pixels assumed away by `scale`) and
writes `[framed]` (yuv420p, BT.709, its canvas exactly). A new layout is one function and one line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from render.errors import UnknownLayout
from render.framing import CenterPath, CropPath
from render.settings import RenderSettings

_BT709 = "out_color_matrix=bt709:out_range=tv"
_OPTICAL_CENTER = 0.4427
"""Middle of what platforms leave uncovered: (250 + 1920 − 470) / 2 of 1920 lines."""
_FILL_LIGHT = 0.72
"""How bright the blurred fill is beside the picture, so that the eye stays on the picture."""
_CAPTION_GAP = 0.06
"""Middle of the captions below a fitted picture, as a share of the canvas height."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Framed:
    """A layout's answer."""

    graph: str
    """Filters from `[source]` to `[framed]`."""
    width: int
    height: int
    caption_y: float | None = None
    """Better middle for captions, as a share of the canvas height."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A way to fill a canvas."""

    name: str
    shape: Literal["vertical", "landscape"]
    frame: Callable[[int, int, RenderSettings, CropPath], Framed]
    """From the source's displayed width and height."""

    def fps_max(self, settings: RenderSettings) -> float:
        """Return the frame rate that this layout goes up to."""
        vertical = self.shape == "vertical"
        return settings.vertical_fps_max if vertical else settings.landscape_fps_max


def even(value: float) -> int:
    """Return the nearest even number of at least two: chroma comes in pairs."""
    return max(2, 2 * round(value / 2))


def vertical_canvas(settings: RenderSettings) -> tuple[int, int]:
    """Return width and height of a vertical output."""
    width = even(settings.vertical_width_px)
    return width, even(width * 16 / 9)


def _vertical_blur(width: int, height: int, settings: RenderSettings, path: CropPath) -> Framed:
    canvas_w, canvas_h = vertical_canvas(settings)
    fit = min(canvas_w / width, canvas_h / height)
    fit_w, fit_h = even(width * fit), even(height * fit)
    if fit_h >= canvas_h * 0.97 and fit_w >= canvas_w * 0.97:
        return _vertical_crop(width, height, settings, path)
    x = (canvas_w - fit_w) // 4 * 2
    # A wide picture stands in the middle of the uncovered part, with room for words below it.
    y = round(canvas_h * _OPTICAL_CENTER - fit_h / 2) // 2 * 2 if fit_h < canvas_h * 0.5 else 0
    y = y or (canvas_h - fit_h) // 4 * 2
    small_w, small_h = even(canvas_w / 8), even(canvas_h / 8)
    graph = (
        f"[source]split[near][far];"
        f"[far]scale={small_w}:{small_h}:force_original_aspect_ratio=increase:"
        f"flags=bilinear:{_BT709},crop={small_w}:{small_h},format=yuv420p,"
        f"gblur=sigma=6:steps=2,lutyuv=y=16+(val-16)*{_FILL_LIGHT}:u=val:v=val,"
        f"scale={canvas_w}:{canvas_h}:flags=bilinear,setsar=1[fill];"
        f"[near]scale={fit_w}:{fit_h}:flags=bicubic:{_BT709},format=yuv420p,setsar=1[sharp];"
        f"[fill][sharp]overlay={x}:{y}:format=yuv420[framed]"
    )
    below = (y + fit_h) / canvas_h + _CAPTION_GAP
    return Framed(
        graph=graph,
        width=canvas_w,
        height=canvas_h,
        caption_y=below if fit_h < canvas_h * 0.5 else None,
    )


def _vertical_crop(width: int, height: int, settings: RenderSettings, path: CropPath) -> Framed:
    canvas_w, canvas_h = vertical_canvas(settings)
    fill = max(canvas_w / width, canvas_h / height)
    scaled_w, scaled_h = max(canvas_w, even(width * fill)), max(canvas_h, even(height * fill))
    focus = path.focus(0.0)
    x = _edge(scaled_w, canvas_w, focus.x)
    y = _edge(scaled_h, canvas_h, focus.y)
    graph = (
        f"[source]scale={scaled_w}:{scaled_h}:flags=bicubic:{_BT709},format=yuv420p,"
        f"crop={canvas_w}:{canvas_h}:{x}:{y},setsar=1[framed]"
    )
    return Framed(graph=graph, width=canvas_w, height=canvas_h)


def _edge(scaled: int, canvas: int, focus: float) -> int:
    return min(max(0, round(scaled * focus - canvas / 2) // 2 * 2), scaled - canvas)


def _landscape(width: int, height: int, settings: RenderSettings, path: CropPath) -> Framed:
    fit = min(1.0, settings.landscape_height_max_px / height, 1920 / width)
    out_w, out_h = even(width * fit), even(height * fit)
    graph = f"[source]scale={out_w}:{out_h}:flags=bicubic:{_BT709},format=yuv420p,setsar=1[framed]"
    return Framed(graph=graph, width=out_w, height=out_h)


LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(name="vertical_blur", shape="vertical", frame=_vertical_blur),
        Layout(name="vertical_crop", shape="vertical", frame=_vertical_crop),
        Layout(name="landscape", shape="landscape", frame=_landscape),
    )
}


def find_layout(name: str) -> Layout:
    """Return the layout of this name.

    Raises:
        UnknownLayout: none is registered.
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        raise UnknownLayout(f"{name!r}; known are {', '.join(LAYOUTS)}") from None


def frame_picture(
    name: str,
    width: int,
    height: int,
    settings: RenderSettings,
    path: CropPath | None = None,
) -> Framed:
    """Return the filter graph that shows a width × height source in the named layout."""
    return find_layout(name).frame(width, height, settings, path or CenterPath())


def card_canvas(name: str, settings: RenderSettings) -> tuple[int, int]:
    """Return the canvas for a source without a picture."""
    if find_layout(name).shape == "vertical":
        return vertical_canvas(settings)
    height = even(settings.landscape_height_max_px)
    return even(height * 16 / 9), height
