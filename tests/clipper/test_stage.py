"""From events on the bus to a clip that plays, through the stage itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from bus.events import ClipCut, ClipFailed, Event, SegmentStored, SessionClipped, SpeechHeard, Word
from bus.local import LocalBus
from bus.stage import Ctx
from clipper.settings import ClipperSettings
from clipper.stage import Clipper
from store.fetch import Fetcher
from store.objects import Objects
from store.obstore_objects import open_objects
from store.settings import FetchSettings
from tests.clipper.cutting import frames_of
from tests.clipper.frame_counter import Shape, segments, shown, stored
from tests.clipper.made import WHO, moment, started, whole

Told = list[tuple[SegmentStored, bytes]]
LENGTH_S = 40


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return stored(segments(tmp_path_factory.mktemp("ring"), LENGTH_S, Shape()))


@asynccontextmanager
async def running(bus: LocalBus, objects: Objects) -> AsyncIterator[Ctx]:
    """Run the stage for as long as the context is open, then drain it."""
    ctx = Ctx(bus=bus)
    async with Fetcher(FetchSettings()) as fetcher:
        task = asyncio.create_task(Clipper(objects, fetcher, ClipperSettings()).run(ctx))
        yield ctx
        ctx.draining.set()
        await task


async def until(bus: LocalBus, group: str, done: Callable[[Event], bool]) -> list[Event]:
    """Read the topic of clips from its beginning until an event."""
    seen: list[Event] = []
    async with bus.subscribe(group, ["clips"]) as subscription, asyncio.timeout(30):
        while not any(done(each) for each in seen):
            seen += [record.event for record in await subscription.fetch(100, 0.5)]
    return seen


async def put_ring(objects: Objects, told: Told) -> None:
    for event, body in told:
        assert event.object_key is not None
        await objects.put(event.object_key, body)


def session(told: Told, peak_s: float = 20.0) -> list[Event]:
    topics = whole(LENGTH_S, [moment(peak_s)])
    said = (Word(text="hello", start_s=peak_s, end_s=peak_s + 0.5),)
    heard = SpeechHeard(
        **WHO, epoch=0, seq=10, media_s=20.0, duration_s=2.0, words=said, engine="subtitles"
    )
    topics[1].insert(10, heard)
    return [started(), *(event for event, _ in told), *topics[1], *topics[3], *topics[4]]


def is_clipped(event: Event) -> bool:
    return isinstance(event, SessionClipped)


async def test_moment_becomes_an_exact_clip(ring: Told, tmp_path: Path) -> None:
    objects = open_objects(f"file://{tmp_path}/objects")
    await put_ring(objects, ring)
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        await bus.publish(session(ring))
        async with running(bus, objects):
            outcomes = await until(bus, "test", is_clipped)
    (cut,) = [each for each in outcomes if isinstance(each, ClipCut)]
    path = tmp_path / "clip.mp4"
    path.write_bytes(await objects.get(cut.source_key))
    assert shown(path, cut.in_s, cut.out_s) == frames_of(cut.start_s, cut.end_s, 30)
    assert (cut.width, cut.height, cut.fps, cut.has_audio) == (384, 216, 30, True)
    assert not cut.replay
    assert isinstance(outcomes[-1], SessionClipped)
    assert outcomes[-1].clips == 1
    assert cut.words_key is not None
    (word,) = orjson.loads(await objects.get(cut.words_key))
    assert word["start_s"] == pytest.approx(20.0 - cut.start_s, abs=0.002)


async def test_cut_clip_is_told_again_but_not_cut_again(ring: Told, tmp_path: Path) -> None:
    objects = open_objects("memory://")
    await put_ring(objects, ring)
    async with LocalBus.open(tmp_path / "one.db") as bus:
        await bus.publish(session(ring))
        async with running(bus, objects):
            before = await until(bus, "test", is_clipped)
    (cut,) = [each for each in before if isinstance(each, ClipCut)]
    await objects.delete([event.object_key or "" for event, _ in ring])
    async with LocalBus.open(tmp_path / "two.db") as bus:
        await bus.publish(session(ring))
        async with running(bus, objects):
            after = await until(bus, "test", is_clipped)
    assert cut in after


async def test_clip_without_media_fails_with_a_reason(ring: Told, tmp_path: Path) -> None:
    objects = open_objects("memory://")
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        await bus.publish(session(ring))
        async with running(bus, objects):
            outcomes = await until(bus, "test", is_clipped)
    (failed,) = [each for each in outcomes if isinstance(each, ClipFailed)]
    assert failed.reason == "source_gone"


async def test_live_clip_is_cut_before_the_session_ends(ring: Told, tmp_path: Path) -> None:
    objects = open_objects("memory://")
    await put_ring(objects, ring)
    events = session(ring)
    async with LocalBus.open(tmp_path / "bus.db") as bus, running(bus, objects):
        await bus.publish(events[:-1])
        outcomes = await until(bus, "test", lambda each: isinstance(each, ClipCut))
        assert not any(map(is_clipped, outcomes))
        await bus.publish(events[-1:])
        await until(bus, "again", is_clipped)


async def test_undecodable_media_fails_with_a_reason(ring: Told, tmp_path: Path) -> None:
    objects = open_objects("memory://")
    await put_ring(objects, [(event, b"\x47" + b"\xff" * 187) for event, _ in ring])
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        await bus.publish(session(ring))
        async with running(bus, objects):
            outcomes = await until(bus, "test", is_clipped)
    (failed,) = [each for each in outcomes if isinstance(each, ClipFailed)]
    assert failed.reason == "undecodable"


async def test_a_cut_that_breaks_the_stage_is_given_up_and_the_rest_goes_on(
    ring: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("media that nobody foresaw")

    monkeypatch.setattr("clipper.stage.make_cut", broken)
    objects = open_objects("memory://")
    await put_ring(objects, ring)
    starts = 0
    async with LocalBus.open(tmp_path / "bus.db") as bus, Fetcher(FetchSettings()) as fetcher:
        await bus.publish(session(ring))
        ctx = Ctx(bus=bus)
        clipper = Clipper(objects, fetcher, ClipperSettings())

        async def start_again_and_again() -> None:
            nonlocal starts
            while not ctx.draining.is_set():
                starts += 1
                with suppress(ExceptionGroup):
                    await clipper.run(ctx)

        task = asyncio.create_task(start_again_and_again())
        outcomes = await until(bus, "test", is_clipped)
        ctx.draining.set()
        await task
    (failed,) = [each for each in outcomes if isinstance(each, ClipFailed)]
    assert failed.reason == "undecodable"
    assert starts == 4
