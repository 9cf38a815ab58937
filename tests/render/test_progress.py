from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from bus.events import RenderProgressed
from bus.ports import SilentMeter
from render.progress import Progress
from tests.render.fakes import a_queued


class Line:
    """Where progress goes: at once, or when the test lets it."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.begun: list[int] = []
        self.open = asyncio.Event()
        self.error: Exception | None = None

    async def tell(self, progress: RenderProgressed) -> None:
        self.begun.append(progress.percent)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.told.append(progress.percent)


class Shed(SilentMeter):
    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        self.counts[(name, *labels.values())] += round(by)


async def rest() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_each_tenth_is_told_once() -> None:
    line, meter = Line(), Shed()
    line.open.set()
    async with Progress(a_queued(), line.tell, meter) as progress:
        for percent in (0, 5, 12, 18, 25, 39, 39, 100):
            await progress.at(percent)
            await rest()
    assert line.told == [10, 20, 30, 100]
    assert not meter.counts


@pytest.mark.parametrize(("replay", "kind"), [(False, "live"), (True, "replay")])
async def test_a_slow_line_holds_nothing_up_and_what_is_left_out_is_counted(
    replay: bool, kind: str
) -> None:
    line, meter = Line(), Shed()
    async with Progress(a_queued(replay=replay), line.tell, meter) as progress:
        for percent in (10, 20, 30):
            await progress.at(percent)
            await rest()
        assert line.begun == [10]
        line.open.set()
        await rest()
        await progress.at(40)
    assert line.told == [10, 40]
    assert meter.counts == {("clipthat_shed_total", "progress", kind): 2}


async def test_a_line_that_breaks_breaks_the_render() -> None:
    line = Line()
    line.open.set()
    line.error = OSError("no space")
    with pytest.raises(OSError, match="no space"):
        async with Progress(a_queued(), line.tell, SilentMeter()) as progress:
            await progress.at(10)


async def test_a_render_that_breaks_takes_its_word_back() -> None:
    line = Line()

    async def render() -> None:
        async with Progress(a_queued(), line.tell, SilentMeter()) as progress:
            await progress.at(10)
            await rest()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await render()
    assert (line.begun, line.told) == ([10], [])
