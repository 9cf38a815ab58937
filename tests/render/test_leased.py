"""The renderer that leases its work: whose files are seen, and what it leaves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from bus.codec import decode, encode
from bus.events import RenderFailed, RenderFinished, RenderProgressed, RenderQueued
from bus.ports import SilentMeter
from render.leased import LeasedRenderer
from render.settings import RenderSettings
from store.keys import render_key
from store.leases import LeaseLost
from tests.doubles.hand_timer import HandTimer
from tests.doubles.leases import Desk
from tests.render.fakes import MemoryObjects, a_queued, local_ctx, read_until
from tests.render.media import numbered_video
from tests.render.test_stages import children_of

FAST = RenderSettings(preset="ultrafast", vertical_width_px=360, concurrency=2)
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_video(tmp_path_factory.mktemp("source") / "source.mp4").read_bytes()


class World:
    """A renderer, its work and what it stores."""

    def __init__(self, source: bytes, folder: Path) -> None:
        self.objects = MemoryObjects()
        self.objects.kept["source.mp4"] = source
        self.desk = Desk()
        self.timer = HandTimer()
        self.folder = folder

    def put(self, queued: RenderQueued) -> None:
        self.desk.works[queued.render_id] = orjson.loads(encode(queued))
        self.desk.waiting.append(queued.render_id)

    def renderer(self, settings: RenderSettings = FAST) -> LeasedRenderer:
        return LeasedRenderer(
            self.objects,
            replace(settings, work_dir=str(self.folder)),
            self.desk,
            beat_s=4.0,
            timer=self.timer,
        )

    async def made(self, queued: RenderQueued) -> object:
        """Have one made as a job does; return the event that is handed in."""
        self.put(queued)
        await self.renderer().once(asyncio.Event(), nobody, SilentMeter())
        result = self.desk.results.get(queued.render_id)
        return None if result is None else decode(orjson.dumps(result))

    def left(self) -> set[str]:
        return set(self.objects.kept) - {"source.mp4"}


async def nobody(progress: RenderProgressed) -> None:
    """Hear nothing."""


@pytest.fixture
def world(source: bytes, tmp_path: Path) -> World:
    return World(source, tmp_path)


def key(token: int, name: str = "landscape.mp4") -> str:
    return render_key("tenant", "clip", "render", name, token)


async def test_an_output_lies_under_its_token_and_what_older_ones_left_is_gone(
    world: World,
) -> None:
    alone = render_key("tenant", "clip", "render", "landscape.mp4")
    for left in (key(1), key(2, "thumbnail.jpg"), key(12), alone):
        world.objects.kept[left] = b"of another"
    world.desk.tokens["render"] = 8
    finished = await world.made(a_queued())
    assert isinstance(finished, RenderFinished)
    assert finished.output_key == key(9)
    assert world.left() == {
        *(key(9), key(9, "thumbnail.jpg"), key(9, "render.json")),
        *(key(12), alone),
    }


async def test_what_cannot_be_made_is_handed_in_too(world: World) -> None:
    failed = await world.made(a_queued(source_key="gone.mp4"))
    assert isinstance(failed, RenderFailed)
    assert failed.reason == "source_missing"
    assert world.left() == set()


async def test_an_output_that_is_refused_is_removed_and_its_successors_stays(world: World) -> None:
    world.objects.kept[key(2)] = b"of the next"
    world.desk.fails["complete"] = LeaseLost("token 1 is old")
    assert await world.made(a_queued()) is None
    assert world.left() == {key(2)}


@asynccontextmanager
async def encoding(world: World, tmp_path: Path) -> AsyncIterator[asyncio.Event]:
    """A stage whose encoder is at work; it is drained by the event."""
    slow = replace(FAST, preset="veryslow", vertical_width_px=1080)
    world.put(a_queued(layout="vertical_blur"))
    async with local_ctx(tmp_path / "bus") as ctx, asyncio.TaskGroup() as group:
        group.create_task(world.renderer(slow).run(ctx))
        async with asyncio.timeout(LIMIT_S):
            while not list(tmp_path.glob("*/vertical_blur.mp4")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the encoder is another process: its file is the event
            assert children_of(os.getpid())
            yield ctx.draining
        ctx.draining.set()
    assert children_of(os.getpid()) == []
    assert world.left() == set()


async def test_a_lost_lease_kills_the_encoder_at_once(world: World, tmp_path: Path) -> None:
    (tmp_path / "bus").mkdir()
    async with encoding(world, tmp_path):
        world.desk.lost.append("render")
        world.timer.advance(4.0)
        while children_of(os.getpid()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the encoder's end is what is waited for
    assert world.desk.said == []


async def test_a_stop_kills_the_encoder_and_gives_the_render_back(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "bus").mkdir()
    async with encoding(world, tmp_path) as draining:
        draining.set()
        await world.desk.news.wait()
    assert world.desk.said == [("drain", "render")]


async def test_progress_goes_on_the_bus_and_nothing_else(world: World, tmp_path: Path) -> None:
    (tmp_path / "bus").mkdir()
    world.put(a_queued())
    async with local_ctx(tmp_path / "bus") as ctx, asyncio.TaskGroup() as group:
        group.create_task(world.renderer().run(ctx))
        async with asyncio.timeout(LIMIT_S):
            await world.desk.news.wait()
            seen = await read_until(ctx, "renders", RenderProgressed, 1)
        ctx.draining.set()
    assert {type(event) for event in seen} == {RenderProgressed}
    assert world.desk.said == [("done", "render")]
