"""The stages on a real local bus: what is queued, finished, failed, kept, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from bus.errors import BusFull
from bus.events import RenderFailed, RenderFinished, RenderProgressed, RenderQueued
from bus.ports import Bus
from bus.stage import Ctx, SilentMeter
from render.settings import RenderSettings
from render.spec import RenderSpec
from render.stages import Renderer, RenderQueue, queue_renders
from store.errors import StorageFull
from tests.render.fakes import MemoryObjects, a_clip, a_queued, local_ctx, read_until
from tests.render.media import frames_of, gray, numbered_video, read_number

FAST = RenderSettings(preset="ultrafast", vertical_width_px=360, concurrency=2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_video(tmp_path_factory.mktemp("source") / "source.mp4").read_bytes()


@pytest.fixture
def objects(source: bytes) -> MemoryObjects:
    kept = MemoryObjects()
    kept.kept["source.mp4"] = source
    return kept


async def drained(ctx: Ctx, stage: Renderer | RenderQueue, waiting: asyncio.Task[object]) -> None:
    """Run the stage until what is waited for has come, then drain it."""
    running = asyncio.create_task(stage.run(ctx))
    done, _ = await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    ctx.draining.set()
    if running in done:
        waiting.cancel()
    await running


async def results(ctx: Ctx, stage: Renderer | RenderQueue, kind: type, count: int) -> list[object]:
    waiting = asyncio.create_task(read_until(ctx, "renders", kind, count))
    await drained(ctx, stage, waiting)
    return list(waiting.result())


async def test_every_layout_of_a_cut_is_queued_once(tmp_path: Path) -> None:
    async with local_ctx(tmp_path) as ctx:
        await ctx.bus.publish([a_clip(), a_clip(clip_id="other")])
        seen = await results(ctx, RenderQueue(FAST), RenderQueued, 4)
    mine = [event for event in seen if isinstance(event, RenderQueued) and event.clip_id == "clip"]
    assert [event.layout for event in mine] == ["vertical_blur", "landscape"]
    assert len({event.event_id for event in seen if isinstance(event, RenderQueued)}) == 4


def test_the_render_id_follows_from_what_shapes_the_output() -> None:
    first = queue_renders(a_clip(), FAST)[0]
    assert queue_renders(a_clip(), replace(FAST, threads=9, nice=1))[0] == first
    for changed in (
        queue_renders(a_clip(out_s=2.4), FAST)[0],
        queue_renders(a_clip(words_key="words.json"), FAST)[0],
        queue_renders(a_clip(), replace(FAST, crf=22))[0],
        queue_renders(a_clip(), replace(FAST, captions=replace(FAST.captions, size_px=90)))[0],
    ):
        assert changed.render_id != first.render_id
    assert RenderSpec.of(first, FAST).render_id == first.render_id


async def test_a_queued_render_is_finished_with_progress(
    tmp_path: Path, objects: MemoryObjects
) -> None:
    objects.kept["words.json"] = b'[{"text": "wow", "start_s": 0.2, "end_s": 0.9}]'
    async with local_ctx(tmp_path) as ctx:
        await ctx.bus.publish([a_queued(layout="vertical_blur", words_key="words.json")])
        seen = await results(ctx, Renderer(objects, FAST), RenderFinished, 1)
    finished = next(event for event in seen if isinstance(event, RenderFinished))
    assert (finished.width, finished.height, finished.duration_s) == (360, 640, 2.0)
    assert finished.notes == ()
    assert finished.size_bytes == len(objects.kept[finished.output_key])
    assert objects.kept[finished.thumbnail_key or ""][:2] == b"\xff\xd8"
    assert b"WOW" in objects.kept[finished.captions_key or ""]
    told = [event.percent for event in seen if isinstance(event, RenderProgressed)]
    assert told == sorted(set(told))
    assert all(percent % 10 == 0 and 0 < percent < 100 for percent in told)


async def test_a_live_clip_goes_before_recordings_that_wait(
    tmp_path: Path, objects: MemoryObjects
) -> None:
    one_by_one = replace(FAST, concurrency=1)
    async with local_ctx(tmp_path) as ctx:
        waiting = [a_queued(render_id=f"vod {n}", clip_id="vod", replay=True) for n in range(3)]
        await ctx.bus.publish([*waiting, a_queued(render_id="live", clip_id="live")])
        seen = await results(ctx, Renderer(objects, one_by_one), RenderFinished, 4)
    finished = [event.render_id for event in seen if isinstance(event, RenderFinished)]
    assert finished == ["vod 0", "live", "vod 1", "vod 2"]


def test_a_recording_is_told_from_live_when_its_renders_are_queued() -> None:
    assert not any(render.replay for render in queue_renders(a_clip(), FAST))
    assert all(render.replay for render in queue_renders(a_clip(replay=True), FAST))


async def test_a_finished_render_is_not_made_again(tmp_path: Path, objects: MemoryObjects) -> None:
    async with local_ctx(tmp_path) as ctx:
        await ctx.bus.publish([a_queued()])
        first = await results(ctx, Renderer(objects, FAST), RenderFinished, 1)
    del objects.kept["source.mp4"]
    again = tmp_path / "again"
    again.mkdir()
    async with local_ctx(again) as ctx:
        await ctx.bus.publish([a_queued()])
        second = await results(ctx, Renderer(objects, FAST), RenderFinished, 1)
    assert [event for event in first if isinstance(event, RenderFinished)] == [
        event for event in second if isinstance(event, RenderFinished)
    ]


async def test_half_an_output_is_made_again(tmp_path: Path, objects: MemoryObjects) -> None:
    async with local_ctx(tmp_path) as ctx:
        await ctx.bus.publish([a_queued()])
        seen = await results(ctx, Renderer(objects, FAST), RenderFinished, 1)
    finished = next(event for event in seen if isinstance(event, RenderFinished))
    objects.kept[finished.output_key] = b"half"
    again = tmp_path / "again"
    again.mkdir()
    async with local_ctx(again) as ctx:
        await ctx.bus.publish([a_queued()])
        await results(ctx, Renderer(objects, FAST), RenderFinished, 1)
    output = tmp_path / "output.mp4"
    output.write_bytes(objects.kept[finished.output_key])
    assert [read_number(gray(frame)) for frame in frames_of(output)] == list(range(15, 75))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source_key": "gone.mp4"}, "source_missing"),
        ({"layout": "sideways"}, "unknown_layout"),
        ({"source_key": "broken.mp4"}, "source_unusable"),
        ({"out_s": 60.0}, "output_broken"),
    ],
)
async def test_what_cannot_be_made_is_said(
    tmp_path: Path, objects: MemoryObjects, changes: dict[str, object], reason: str
) -> None:
    objects.kept["broken.mp4"] = b"not a video"
    before = set(objects.kept)
    async with local_ctx(tmp_path) as ctx:
        await ctx.bus.publish([a_queued(**changes)])
        seen = await results(ctx, Renderer(objects, FAST), RenderFailed, 1)
    failed = next(event for event in seen if isinstance(event, RenderFailed))
    assert failed.reason == reason
    assert failed.detail
    assert set(objects.kept) == before


async def test_words_that_are_none_are_noted(tmp_path: Path, objects: MemoryObjects) -> None:
    objects.kept["words.json"] = b"{broken"
    async with local_ctx(tmp_path) as ctx:
        await ctx.bus.publish([a_queued(layout="vertical_crop", words_key="words.json")])
        seen = await results(ctx, Renderer(objects, FAST), RenderFinished, 1)
    finished = next(event for event in seen if isinstance(event, RenderFinished))
    assert any("cannot be read" in note for note in finished.notes)
    assert "no words, so no captions" in finished.notes


async def test_a_full_disk_gives_nothing_up(tmp_path: Path, objects: MemoryObjects) -> None:
    class FullObjects(MemoryObjects):
        async def put(self, key: str, data: bytes | Path) -> None:
            raise StorageFull("the disk is full")

    full = FullObjects()
    full.kept = dict(objects.kept)
    async with local_ctx(tmp_path) as ctx:
        await ctx.bus.publish([a_queued()])
        with pytest.raises(StorageFull):
            await Renderer(full, FAST).run(ctx)
        seen = await results(ctx, Renderer(objects, FAST), RenderFinished, 1)
    assert not any(isinstance(event, RenderFailed) for event in seen)


async def test_a_drain_kills_the_encoder_and_the_render_comes_again(
    tmp_path: Path, objects: MemoryObjects
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    slow = replace(FAST, preset="veryslow", vertical_width_px=1080, work_dir=str(work))
    queued = a_queued(layout="vertical_blur")
    async with local_ctx(tmp_path) as ctx:
        await ctx.bus.publish([queued])
        running = asyncio.create_task(Renderer(objects, slow).run(ctx))
        while not list(work.glob("*/vertical_blur.mp4")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the encoder is another process: its file is the event
        children = children_of(os.getpid())
        assert children
        ctx.draining.set()
        await running
        assert children_of(os.getpid()) == []
        assert list(work.iterdir()) == []
        assert set(objects.kept) == {"source.mp4"}
        ctx.draining.clear()
        seen = await results(ctx, Renderer(objects, FAST), RenderFinished, 1)
    assert not any(isinstance(event, RenderFailed) for event in seen)


def children_of(pid: int) -> list[int]:
    import psutil

    return [
        child.pid
        for child in psutil.Process(pid).children(recursive=True)
        if "ffmpeg" in child.name()
    ]


async def test_an_error_that_comes_while_the_stage_is_cancelled_is_told_to_nobody_else(
    tmp_path: Path, objects: MemoryObjects
) -> None:
    class FullBus:
        """Refuses its readers for want of space, in the very moment the stage is cancelled."""

        @contextlib.asynccontextmanager
        async def subscribe(self, group: str, topics: object) -> AsyncIterator[None]:
            asyncio.get_running_loop().call_soon(running.cancel)
            raise BusFull("no space is left")
            yield

    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    ctx = Ctx(bus=cast(Bus, FullBus()), meter=SilentMeter())
    running = asyncio.create_task(Renderer(objects, FAST).run(ctx))
    with pytest.raises(BusFull):
        await running
    gc.collect()
    assert told == []


async def test_folders_of_dead_processes_are_cleared(
    tmp_path: Path, objects: MemoryObjects
) -> None:
    dead = tmp_path / "clipthat-render-999999999-abc"
    alive = tmp_path / f"clipthat-render-{os.getpid()}-abc"
    for folder in (dead, alive):
        folder.mkdir()
    async with local_ctx(tmp_path) as ctx:
        ctx.draining.set()
        await Renderer(objects, replace(FAST, work_dir=str(tmp_path))).run(ctx)
    assert not dead.exists()
    assert alive.exists()
