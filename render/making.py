"""Makes one finished output in a folder of its own: from the source cut to a checked file."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from render import finished
from render.captions import Box, Page, spans
from render.command import (
    EncodePlan,
    check_arguments,
    encode_arguments,
    measure_arguments,
    output_fps,
)
from render.drawing import card_svg, title_svg
from render.encode import Limits, run_encoder
from render.errors import SourceUnusable
from render.fonts import Fonts
from render.layout import card_canvas, find_layout, frame_picture
from render.loudness import (
    Loudness,
    gain_db,
    is_near_silence,
    level_filters,
    needs_limiter,
    read_loudness,
)
from render.paging import lay_out, undrawable
from render.settings import CaptionSettings, RenderSettings
from render.source import SourceMedia, look_into
from render.spec import RenderSpec
from render.strips import StripPainter, rasterise
from render.webvtt import to_webvtt
from render.words import SpokenWord, settle_words

_CARD_FPS = Fraction(30)
_LOUDNESS_SLACK_LU = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A finished output, checked, still in its folder."""

    video: Path
    thumbnail: Path
    captions: Path | None
    width: int
    height: int
    duration_s: float
    loudness_lufs: float | None
    notes: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class _Drawn:
    """What is drawn over the picture."""

    pages: list[Page] = field(default_factory=list)
    painter: StripPainter | None = None
    frames: Iterator[bytes] | None = None
    notes: list[str] = field(default_factory=list)


async def make(
    spec: RenderSpec,
    source: Path,
    words: list[SpokenWord] | None,
    folder: Path,
    on_percent: Callable[[int], Awaitable[None]],
) -> Made:
    """Render `spec` from the source file into `folder` and check the result.

    `words` are on the clip's own time; None when none are known.

    Raises:
        RenderError: it could not be made; the error's `again` says whether to try again.
        StorageFull: the disk is full.
    """
    settings = spec.style
    media = await asyncio.to_thread(look_into, source)
    if not 0 < spec.duration_s <= settings.duration_max_s:
        raise SourceUnusable(f"{spec.duration_s:.2f} s long; {settings.duration_max_s} s at most")
    plan = _plan(spec, media, source, folder / f"{spec.layout}.mp4")
    limits = _limits(settings, plan.duration_s)
    notes = _media_notes(media)
    fonts = await asyncio.to_thread(Fonts.of, settings.captions)
    plan = await asyncio.to_thread(_draw_stills, plan, spec, fonts, folder)
    drawn = await asyncio.to_thread(_draw, spec, plan, media, words, fonts)
    if drawn.painter is not None:
        plan = replace(plan, strips=drawn.painter.area)
    level, level_notes = await _level(plan, settings, limits)
    plan = replace(plan, level=level)

    async def on_frame(frame: int) -> None:
        await on_percent(min(99, frame * 100 // plan.frames))

    await run_encoder(
        encode_arguments(plan, settings), limits, frames=drawn.frames, on_frame=on_frame
    )
    found = await asyncio.to_thread(finished.look_at, plan.output)
    finished.check(
        found,
        width=plan.width,
        height=plan.height,
        frames=plan.frames,
        duration_s=plan.duration_s,
    )
    picture = folder / "thumbnail.jpg"
    await asyncio.to_thread(finished.thumbnail, plan.output, picture)
    captions = _write_captions(drawn.pages, folder)
    loudness = await _loudness(check_arguments(plan.output, settings), limits)
    return Made(
        video=plan.output,
        thumbnail=picture,
        captions=captions,
        width=plan.width,
        height=plan.height,
        duration_s=plan.duration_s,
        loudness_lufs=_known(loudness),
        notes=(*notes, *level_notes, *drawn.notes),
    )


def _limits(settings: RenderSettings, duration_s: float) -> Limits:
    wall_s = settings.wall_base_s + settings.wall_per_media_s * duration_s
    return Limits(
        wall_s=wall_s,
        cpu_s=wall_s * max(1, settings.threads) * 2,
        memory_bytes=settings.memory_max_mb << 20,
        file_bytes=settings.output_max_mb << 20,
        nice=settings.nice,
    )


def _plan(spec: RenderSpec, media: SourceMedia, source: Path, output: Path) -> EncodePlan:
    settings = spec.style
    layout = find_layout(spec.layout)
    picture = media.picture
    if picture is None:
        width, height = card_canvas(spec.layout, settings)
        fps, graph = output_fps(_CARD_FPS, layout.fps_max(settings)), ""
    else:
        framed = frame_picture(spec.layout, picture.width, picture.height, settings)
        width, height, graph = framed.width, framed.height, framed.graph
        fps = output_fps(picture.fps, layout.fps_max(settings))
    return EncodePlan(
        source=source,
        output=output,
        in_s=media.zero_s + spec.in_s,
        fps=fps,
        frames=max(1, round(spec.duration_s * float(fps))),
        width=width,
        height=height,
        layout_graph=graph,
        has_audio=media.has_audio,
        level="",
        hdr=picture is not None and picture.hdr,
        interlaced=picture is not None and picture.interlaced,
    )


def _media_notes(media: SourceMedia) -> list[str]:
    notes = []
    if media.picture is None:
        notes.append("the source has no picture: shown as a card with its waveform")
    elif media.picture.hdr:
        notes.append("high dynamic range source, tone-mapped to BT.709")
    if not media.has_audio:
        notes.append("the source has no sound: a silent track was added")
    return notes


def _draw_stills(plan: EncodePlan, spec: RenderSpec, fonts: Fonts, folder: Path) -> EncodePlan:
    """Draw the card of a source without a picture, and the title where it is wanted."""
    face = fonts.faces[0]
    kept = "".join(sign for sign in spec.title if face.has(sign))
    if not plan.layout_graph:
        size_px = min(plan.width, plan.height) * 0.07
        svg = card_svg(
            textwrap.wrap(kept, 22)[:4],
            canvas_w=plan.width,
            canvas_h=plan.height,
            size_px=size_px,
            family=face.family,
            weight=face.weight,
        )
        card = folder / "card.png"
        rasterise(svg, fonts).save(card)
        return replace(plan, card=card)
    if spec.style.title_shown and kept.strip() and plan.height > plan.width:
        lines, size_px = textwrap.wrap(kept, 26)[:2], plan.width * 0.05
        svg = title_svg(
            lines,
            canvas_w=plan.width,
            canvas_h=plan.height,
            top_px=spec.style.captions.box_top_px * plan.width / 1080,
            bar_w=max(face.width(line, size_px) for line in lines) + 1.6 * size_px,
            size_px=size_px,
            family=face.family,
            weight=face.weight,
        )
        title = folder / "title.png"
        rasterise(svg, fonts).save(title)
        return replace(plan, title=title, title_s=min(spec.style.title_s, plan.duration_s))
    return plan


def _draw(
    spec: RenderSpec,
    plan: EncodePlan,
    media: SourceMedia,
    words: list[SpokenWord] | None,
    fonts: Fonts,
) -> _Drawn:
    """Lay the words out, or note why there are none."""
    drawn = _Drawn()
    style = spec.captions
    if style is None:
        return drawn
    settled = settle_words(words or [], plan.duration_s)
    if not settled:
        drawn.notes.append("no words, so no captions")
        return drawn
    lost = undrawable(settled, style, fonts)
    if lost:
        few = ", ".join(lost[:5])
        drawn.notes.append(f"the caption font lacks characters of {len(lost)} words: {few}")
    box = Box.of(style, plan.width, _caption_y(spec, plan, media, style))
    zoom = plan.width / 1080
    drawn.pages = lay_out(
        settled, duration_s=plan.duration_s, style=style, box=box, zoom=zoom, measure=fonts
    )
    if drawn.pages:
        drawn.painter = StripPainter(drawn.pages, style, box, fonts)
        drawn.frames = drawn.painter.frames(spans(drawn.pages, float(plan.fps), plan.frames, style))
    return drawn


def _caption_y(
    spec: RenderSpec, plan: EncodePlan, media: SourceMedia, style: CaptionSettings
) -> float | None:
    """Return where the layout wants the words, in pixels; None leaves it to the style."""
    if media.picture is None:
        return plan.height * 0.68
    framed = frame_picture(spec.layout, media.picture.width, media.picture.height, spec.style)
    return None if framed.caption_y is None else framed.caption_y * plan.height


async def _level(
    plan: EncodePlan, settings: RenderSettings, limits: Limits
) -> tuple[str, list[str]]:
    """Measure the clip and return the filters that bring it to its loudness, with notes.

    A limiter takes loudness away, so a clip that needs one is measured again behind it.
    """
    if not plan.has_audio:
        return "", []
    loudness = await _loudness(measure_arguments(plan, "", settings), limits)
    if loudness is None or is_near_silence(loudness, settings):
        return "", ["nearly silent: loudness left as it is"]
    gain = gain_db(loudness, settings)
    level = level_filters(loudness, gain, settings)
    if needs_limiter(loudness, gain, settings):
        after = await _loudness(measure_arguments(plan, level, settings), limits)
        missing = settings.loudness_lufs - after.integrated_lufs if after else 0.0
        if abs(missing) > _LOUDNESS_SLACK_LU and gain < settings.gain_max_db:
            level = level_filters(loudness, gain + min(missing, 6.0), settings)
    return level, []


async def _loudness(arguments: list[str], limits: Limits) -> Loudness | None:
    return read_loudness(await run_encoder(arguments, limits))


def _known(loudness: Loudness | None) -> float | None:
    if loudness is None or loudness.integrated_lufs <= -70.0:
        return None
    return loudness.integrated_lufs


def _write_captions(pages: list[Page], folder: Path) -> Path | None:
    if not pages:
        return None
    path = folder / "captions.vtt"
    path.write_text(to_webvtt(pages), encoding="utf-8")
    return path
