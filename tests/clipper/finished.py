"""Random cuts, finished by the renderer, looked at picture by picture."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from clipper.cut import Made
from render.making import make
from render.settings import RenderSettings
from render.spec import RenderSpec
from tests.clipper.cutting import cut_ring, frames_of
from tests.clipper.frame_counter import Shape, beeps, numbers, segments, stored

SHAPES = (
    Shape(fps=30),
    Shape(fps=60),
    Shape(fps=30, open_gop=True),
    Shape(fps=60, open_gop=True),
)
STREAM_S = 24


@dataclass(frozen=True)
class Seen:
    """What a finished output shows against what its window holds."""

    name: str
    first_off: int
    """Pictures by which the first one is off."""
    last_off: int
    wrong: int
    """Pictures that are not the window's at their place: missing, doubled, black or frozen."""
    sound_off_s: float
    """The largest distance of a beep from its whole second."""

    @property
    def exact(self) -> bool:
        """First and last picture exact, none wrong, sound within 20 ms."""
        return not (self.first_off or self.last_off or self.wrong) and self.sound_off_s <= 0.020


async def random_cuts(count: int, seed: int, folder: Path) -> list[Seen]:
    """Cut and finish `count` random windows, in turn from streams of each shape."""
    streams = []
    for at, shape in enumerate(SHAPES):
        place = folder / str(at)
        place.mkdir()
        streams.append((shape, stored(segments(place, STREAM_S, shape))))
    chance = random.Random(seed)
    seen = []
    for number in range(count):
        shape, told = streams[number % len(streams)]
        start_s = chance.uniform(0, STREAM_S - 10)
        end_s = start_s + chance.uniform(3, 9)
        source = folder / "source.mp4"
        made = cut_ring(told, start_s, end_s, source)
        output = await _finish(made, source, folder)
        kind = "open" if shape.open_gop else "closed"
        name = f"{shape.fps} fps, {kind}, {start_s:.3f}–{end_s:.3f}"
        seen.append(_look(name, output, made, frames_of(start_s, end_s, shape.fps)))
    return seen


async def _finish(made: Made, source: Path, folder: Path) -> Path:
    style = RenderSettings(layouts=("landscape",))
    spec = RenderSpec(
        tenant_id="t",
        clip_id="c",
        layout="landscape",
        source_key="k",
        in_s=made.in_s,
        out_s=made.out_s,
        title="",
        words_key=None,
        style=style,
    )
    finished = await make(spec, source, None, folder, _ignore)
    return finished.video


async def _ignore(percent: int) -> None:
    return None


def _look(name: str, output: Path, made: Made, wanted: list[int]) -> Seen:
    shown = [number for _, number in numbers(output)]
    wrong = sum(a != b for a, b in zip(shown, wanted, strict=False)) + abs(len(shown) - len(wanted))
    heard = [at for at in beeps(output) if at > 0.05]
    offs = [abs(at + made.start_s - round(at + made.start_s)) for at in heard]
    return Seen(
        name=name,
        first_off=shown[0] - wanted[0],
        last_off=shown[-1] - wanted[-1],
        wrong=wrong + _black(output),
        sound_off_s=float(max(offs, default=np.inf)),
    )


def _black(output: Path) -> int:
    return sum(1 for brightness in _brightness(output) if brightness < 32)


def _brightness(output: Path) -> Iterator[float]:
    with av.open(str(output)) as container:
        for frame in container.decode(video=0):
            yield float(frame.to_ndarray(format="gray").mean())
