"""Our vertical render against the same filter graph in plain ffmpeg, in CPU seconds.

    python -m bench.render ../shared/data/video/twitch_lol_1080p60.mp4 [--rounds 2] [--json]

Four rows, measured in turn within one run. `plain` is the encoder alone with the layout's own
graph, codecs and sound, without loudness or checks; `plain, ass captions` adds the same words, one
coloured and popping at a time, by the encoder's own `ass` filter. `ours` is the whole of `make`,
without and with captions (a word every 0.35 s). Each of ours is compared with its own plain row
of the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import av
import pysubs2
from font_roboto import RobotoBlack

from render.command import EncodePlan, encode_arguments, output_fps
from render.encode import Limits, run_encoder
from render.layout import frame_picture
from render.making import make
from render.settings import CaptionSettings, RenderSettings
from render.source import look_into
from render.spec import RenderSpec
from render.words import SpokenWord

_SOURCE = Path(__file__).parents[2] / "shared" / "data" / "video" / "twitch_lol_1080p60.mp4"
_LINE = "NO WAY he just took the whole team down with one ultimate look at that"
_TEXT = tuple(_LINE.split())
_WORD_S = 0.35
_OVER = {
    "plain": "plain",
    "plain, ass captions": "plain",
    "ours, no captions": "plain",
    "ours, captions": "plain, ass captions",
}
_LIMITS = Limits(wall_s=600, cpu_s=2400, memory_bytes=8 << 30, file_bytes=4 << 30, nice=0)


@dataclass(frozen=True, kw_only=True)
class Row:
    """CPU seconds of one way, each round, children and this process together."""

    name: str
    cpu_s: tuple[float, ...]
    over: str
    """The row that it is compared with."""
    ratio: float


def cpu_spent_s() -> float:
    """Return the CPU seconds of this process and of all children that have ended."""
    spent = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        spent += usage.ru_utime + usage.ru_stime
    return spent


def plain_plan(source: Path, folder: Path, duration_s: float, style: RenderSettings) -> EncodePlan:
    """Return the plan of the same picture and sound, with nothing added."""
    media = look_into(source)
    assert media.picture is not None
    framed = frame_picture("vertical_blur", media.picture.width, media.picture.height, style)
    fps = output_fps(media.picture.fps, style.vertical_fps_max)
    return EncodePlan(
        source=source,
        output=folder / "plain.mp4",
        in_s=0.0,
        fps=fps,
        frames=int(duration_s * fps),
        width=framed.width,
        height=framed.height,
        layout_graph=framed.graph,
        has_audio=media.has_audio,
        level="",
    )


def ass_filter(words: list[SpokenWord], folder: Path, style: CaptionSettings) -> str:
    """Return the encoder's filter that draws the words, four a page, the active one yellow."""
    font = Path(RobotoBlack)
    subtitles = pysubs2.SSAFile()
    subtitles.info |= {"PlayResX": "1080", "PlayResY": "1920"}
    subtitles.styles["Default"] = pysubs2.SSAStyle(
        fontname="Roboto Black",
        fontsize=style.size_px,
        outline=style.outline_px,
        shadow=4,
        alignment=pysubs2.Alignment.TOP_CENTER,
        marginv=1160,
    )
    pop = (
        "{\\c&H00E6FF&\\fscx88\\fscy88\\t(0,140,\\fscx106\\fscy106)\\t(140,250,\\fscx100\\fscy100)}"
    )
    for start in range(0, len(words), 4):
        page = words[start : start + 4]
        for active, word in enumerate(page):
            shown = [
                f"{pop}{other.text.upper()}{{\\r}}" if index == active else other.text.upper()
                for index, other in enumerate(page)
            ]
            subtitles.append(
                pysubs2.SSAEvent(
                    start=round(word.start_s * 1000),
                    end=round(word.end_s * 1000),
                    text=" ".join(shown),
                )
            )
    path = folder / "captions.ass"
    subtitles.save(str(path))
    return f"ass=filename={path}:fontsdir={font.parent}"


async def one_round(source: Path, duration_s: float) -> dict[str, float]:
    """Return the CPU seconds of each way."""
    style = RenderSettings()
    words = [
        SpokenWord(_TEXT[index % len(_TEXT)], index * _WORD_S, (index + 1) * _WORD_S)
        for index in range(int(duration_s / _WORD_S))
    ]
    spent: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began_s = cpu_spent_s()
        plan = plain_plan(source, folder, duration_s, style)
        await run_encoder(encode_arguments(plan, style), _LIMITS)
        spent["plain"] = cpu_spent_s() - began_s
        began_s = cpu_spent_s()
        captions = ass_filter(words, folder, style.captions)
        graph = plan.layout_graph.replace("[framed]", f"[bare];[bare]{captions}[framed]")
        captioned = replace(plan, layout_graph=graph, output=folder / "ass.mp4")
        await run_encoder(encode_arguments(captioned, style), _LIMITS)
        spent["plain, ass captions"] = cpu_spent_s() - began_s
        for title, given in (("ours, no captions", None), ("ours, captions", words)):
            began_s = cpu_spent_s()
            spec = RenderSpec(
                tenant_id="bench",
                clip_id="bench",
                layout="vertical_blur",
                source_key="source",
                in_s=0.0,
                out_s=duration_s,
                title="",
                words_key=None,
                style=style,
            )
            await make(spec, source, given, folder, _no_progress)
            spent[title] = cpu_spent_s() - began_s
    return spent


async def _no_progress(percent: int) -> None:
    return None


def duration_of(source: Path) -> float:
    """Return the length of the source's picture, a little short of its end."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        if stream.duration is None or stream.time_base is None:
            raise SystemExit(f"{source} does not tell its length")
        return float(stream.duration * stream.time_base) - 0.2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", default=_SOURCE)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    duration_s = duration_of(chosen.source)
    rounds = [asyncio.run(one_round(chosen.source, duration_s)) for _ in range(chosen.rounds)]
    rows = [
        Row(
            name=name,
            cpu_s=tuple(round(spent[name], 2) for spent in rounds),
            over=_OVER[name],
            ratio=round(statistics.median(spent[name] / spent[_OVER[name]] for spent in rounds), 3),
        )
        for name in rounds[0]
    ]
    if chosen.json:
        print(json.dumps({"media_s": duration_s, "rows": [asdict(row) for row in rows]}))
        return
    print(f"{duration_s:.1f} s of {chosen.source.name} to 1080x1920")
    for row in rows:
        print(
            f"{row.name:20} {min(row.cpu_s):7.2f} CPU s   "
            f"x{row.ratio:.3f} of {row.over}   {row.cpu_s}"
        )


if __name__ == "__main__":
    main()
