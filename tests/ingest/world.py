"""A small world for `Watch`: objects in memory, a real bus, an origin in pretended time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from bus.events import Event, SegmentMissing, SegmentStored
from bus.local import LocalBus
from bus.ports import Bus
from bus.settings import LocalBusSettings
from bus.stage import Ctx
from ingest.chat.line import ChatLine
from ingest.chat.source import ChatBatch
from ingest.hls_live import HlsLive
from ingest.hls_vod import HlsVod
from ingest.settings import IngestSettings
from ingest.source import Source
from ingest.watch import Watch, WatchTarget
from store.errors import ObjectMissing, StorageFull
from store.objects import ObjectInfo
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.faulty_origin import FaultyOrigin

TOPICS = ("sessions", "segments", "chat", "usage")


class DictObjects:
    """Objects in a dictionary, with a limit that stands for the size of a disk."""

    def __init__(self, bytes_max: int = 10**12) -> None:
        self.held: dict[str, bytes] = {}
        self.bytes_max = bytes_max

    async def put(self, key: str, data: bytes | Path) -> None:
        body = data if isinstance(data, bytes) else data.read_bytes()
        if sum(map(len, self.held.values())) + len(body) > self.bytes_max:
            raise StorageFull("no space left")
        self.held[key] = body

    async def get(self, key: str) -> bytes:
        if key not in self.held:
            raise ObjectMissing(key)
        return self.held[key]

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.held.pop(key, None)

    async def list(self, prefix: str) -> Sequence[ObjectInfo]:
        found = sorted(key for key in self.held if key.startswith(prefix))
        return [ObjectInfo(key, len(self.held[key])) for key in found]


class ListChat:
    """A `ChatSource` of given lines."""

    def __init__(self, lines: Sequence[ChatLine]) -> None:
        self._lines = sorted(lines, key=lambda line: line.t_s)
        self.wall_start_s: float | None = None
        self.is_open = False

    @property
    def end_s(self) -> float | None:
        return self._lines[-1].t_s if self._lines else 0.0

    async def open(self, wall_start_s: float | None) -> None:
        self.wall_start_s = wall_start_s
        self.is_open = True

    async def drain(self, until_s: float) -> ChatBatch:
        due = tuple(line for line in self._lines if line.t_s < until_s)
        self._lines = self._lines[len(due) :]
        return ChatBatch(lines=due)

    async def close(self) -> None:
        self.is_open = False


class World:
    """Everything that outlives one run of a watch."""

    def __init__(self, bus: Bus, timer: FakeTimer, origin: FaultyOrigin) -> None:
        self.bus = bus
        self.timer = timer
        self.origin = origin
        self.objects = DictObjects()
        self.settings = IngestSettings()
        self.stop = asyncio.Event()
        self.ctx = Ctx(bus=bus)

    def live(self) -> HlsLive:
        return HlsLive(
            "http://origin.test/live.m3u8",
            self.origin,
            self.settings,
            timer=self.timer,
            spread=lambda: 0.0,
        )

    def vod(self) -> HlsVod:
        return HlsVod(
            "http://origin.test/vod.m3u8?sig=1", self.origin, self.settings, timer=self.timer
        )

    def watch(
        self,
        source: Source,
        chat: ListChat | None = None,
        *,
        stop_after_s: float | None = None,
        clips_max: int | None = None,
        kept: bool = False,
    ) -> Watch:
        target = WatchTarget(
            tenant_id="t",
            channel_id="c",
            stop_after_s=stop_after_s,
            clips_max=clips_max,
            kept=kept,
        )
        return Watch(target, source, chat, self.objects, self.settings, self.timer.now, self.stop)

    async def events(self, *topics: str) -> list[Event]:
        """Return all events of these topics, each topic in its order."""
        found: list[Event] = []
        name = f"look-{self.timer.now()}-{id(found)}"
        async with self.bus.subscribe(name, topics or TOPICS) as log:
            while records := await log.fetch(1000, 0.02):
                found += [record.event for record in records]
        return found

    async def spans(self) -> list[SegmentStored | SegmentMissing]:
        """Return all segment events."""
        told = await self.events("segments")
        return [e for e in told if isinstance(e, SegmentStored | SegmentMissing)]


@contextlib.asynccontextmanager
async def world_at(folder: Path, origin: FaultyOrigin) -> AsyncIterator[World]:
    """Open a world around an origin."""
    timer = origin.timer
    settings = LocalBusSettings(synchronous="NORMAL")
    async with LocalBus.open(folder / "bus.db", settings, clock=timer.now) as bus:
        yield World(bus, timer, origin)


def check_whole(spans: Sequence[SegmentStored | SegmentMissing]) -> None:
    """Spans follow each other without a hole or an overlap, under numbers of their own."""
    for before, after in pairwise(spans):
        assert after.media_s == pytest.approx(before.end_s, abs=0.75)
    numbers = [(span.epoch, span.seq) for span in spans]
    assert numbers == sorted(set(numbers))
