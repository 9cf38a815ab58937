"""The senses when there is more to do than the machine can: who waits, what is left out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from bus.events import (
    ChannelDegraded,
    Event,
    FrameDescribed,
    LiveLagged,
    LoudnessMeasured,
    SegmentStored,
    SessionKind,
    SessionStarted,
)
from bus.local import LocalBus
from bus.stage import Ctx
from detectors.ear import Heard, Seen, SegmentBytes
from detectors.hops import Hops
from detectors.picture import Picture
from detectors.senses import Senses
from detectors.settings import SensesSettings
from detectors.sound import Hit, Piece
from tests.detectors.world import CountingMeter, FakeObjects

NOW_S = 1_800_000_000.0
LIMIT_S = 60.0
LENGTH_S = 2.0


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


class Room:
    """What the fakes of one test share."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cost_s: dict[str, float] = {}
        """Seconds by the clock that hearing a segment of a session takes."""
        self.heard: list[str] = []
        self.forgotten: list[str] = []
        self.begun = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.gate = threading.Event()
        """Hearing waits for it."""


class SlowEar:
    """Hears at the pace of the test; any bytes will do."""

    room: ClassVar[Room]
    is_fresh = False

    def __init__(self, settings: SensesSettings) -> None:
        del settings

    def hear(self, media: SegmentBytes) -> Heard:
        room, segment = self.room, media.segment
        room.heard.append(segment.session_id)
        room.loop.call_soon_threadsafe(room.begun.set)
        assert room.gate.wait(LIMIT_S)
        room.clock.now_s += room.cost_s.get(segment.session_id, 0.0)
        hops = round(segment.duration_s / 0.1)
        piece = Piece(segment.media_s, np.zeros(320, np.int16).tobytes(), begins=True, ends=True)
        return Heard(Hops((-20.0,) * hops, (100,) * hops), (piece,))


class FakeSpotter:
    """Hears no phrase, and remembers what it was asked to forget."""

    room: ClassVar[Room]

    def __init__(self, *unused: object) -> None:
        del unused

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *unused: object) -> None:
        del unused

    async def hear(self, session_id: str, pieces: Sequence[Piece], *, live: bool) -> list[Hit]:
        del session_id, pieces, live
        return []

    async def forget(self, session_id: str) -> None:
        self.room.forgotten.append(session_id)


def quick_look(media: SegmentBytes, settings: SensesSettings) -> Seen:
    del settings
    return Seen(media.segment.media_s, Picture(0.0, b"jpeg", 16, 9, "0" * 16))


class Ring(FakeObjects):
    """Gives any segment, and says who asks."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, asyncio.Event] = {}

    async def get(self, key: str) -> bytes:
        self.asked.setdefault(key, asyncio.Event()).set()
        return b"media"


class GaugedMeter(CountingMeter):
    """Opens the gate once enough is in hand, and says when live is far enough behind."""

    def __init__(self, room: Room, wanted: int) -> None:
        super().__init__()
        self.room = room
        self.wanted = wanted
        self.behind_s: float | None = None
        self.is_behind = asyncio.Event()

    def gauge(self, name: str, value: float, **labels: str) -> None:
        super().gauge(name, value, **labels)
        if name == "clipthat_senses_in_hand" and value >= self.wanted:
            self.room.gate.set()
        if name == "clipthat_live_lag_seconds" and value == self.behind_s:
            self.is_behind.set()


@pytest.fixture
async def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    made = Room()
    monkeypatch.setattr(SlowEar, "room", made, raising=False)
    monkeypatch.setattr(FakeSpotter, "room", made, raising=False)
    monkeypatch.setattr("detectors.sensing.Ear", SlowEar)
    monkeypatch.setattr("detectors.sensing.see", quick_look)
    monkeypatch.setattr("detectors.senses.PhraseSpotter", FakeSpotter)
    return made


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    # Time stands still for the bus: a lease never ends, and all is published at the same second.
    async with LocalBus.open(tmp_path / "log.db", clock=lambda: NOW_S) as bus:
        yield bus


def names(session_id: str) -> dict[str, Any]:
    return {"tenant_id": "t", "channel_id": f"c-{session_id}", "session_id": session_id}


def begun(session_id: str, kind: SessionKind) -> SessionStarted:
    return SessionStarted(**names(session_id), kind=kind, title="", source="")


def segments(session_id: str, count: int) -> list[Event]:
    return [
        SegmentStored(
            **names(session_id),
            epoch=0,
            seq=seq,
            disc=0,
            media_s=seq * LENGTH_S,
            duration_s=LENGTH_S,
            container="ts",
            object_key=f"{session_id}/{seq}",
        )
        for seq in range(count)
    ]


@asynccontextmanager
async def sensing(
    bus: LocalBus, room: Room, meter: CountingMeter, objects: FakeObjects, threads: int
) -> AsyncIterator[None]:
    ctx = Ctx(bus=bus, meter=meter)
    settings = SensesSettings(threads=threads, frame_every_s=LENGTH_S)
    stage = asyncio.create_task(Senses(objects, settings, clock=room.clock).run(ctx))
    try:
        yield
    finally:
        room.gate.set()
        ctx.draining.set()
        async with asyncio.timeout(LIMIT_S):
            await stage


async def features(bus: LocalBus, count: int) -> list[Event]:
    """Read features until `count` segments have been measured."""
    seen: list[Event] = []
    async with asyncio.timeout(LIMIT_S), bus.subscribe("test", ("features",)) as log:
        while sum(isinstance(each, LoudnessMeasured) for each in seen) < count:
            seen += [record.event for record in await log.fetch(500, 0.2)]
    return seen


async def everything(bus: LocalBus, topic: str) -> list[Event]:
    seen: list[Event] = []
    async with bus.subscribe("test-all", (topic,)) as log:
        while records := await log.fetch(500, 0.0):
            seen += [record.event for record in records]
    return seen


async def test_a_live_session_overtakes_replays_that_wait(bus: LocalBus, room: Room) -> None:
    replays = ("vod 1", "vod 2", "vod 3")
    await bus.publish([begun(name, "vod") for name in replays])
    await bus.publish([each for name in replays for each in segments(name, 3)])
    objects = Ring()
    live_asked = objects.asked.setdefault("live/0", asyncio.Event())
    async with sensing(bus, room, CountingMeter(), objects, threads=1):
        async with asyncio.timeout(LIMIT_S):
            await room.begun.wait()
            # One replay has the only place, the others wait for it; now somebody goes live.
            await bus.publish([begun("live", "live"), *segments("live", 1)])
            await live_asked.wait()
        room.gate.set()
        await features(bus, 10)
    assert room.heard[0] in replays
    assert room.heard[1] == "live"
    assert sorted(room.heard) == sorted([*replays * 3, "live"])


async def test_what_live_cannot_keep_up_with_is_left_out_counted_and_told(
    bus: LocalBus, room: Room
) -> None:
    """Each two seconds take twenty: 3 fit below every limit, at 16 the oldest are given up.

    With `n` segments heard the clock says 20 n, and 398 − 2 n seconds are known after the next.
    """
    count = 200
    room.cost_s = {"live": 20.0}
    await bus.publish([begun("live", "live"), begun("vod", "vod")])
    await bus.publish([*segments("live", count), *segments("vod", count)])
    # The one in hand is not counted as waiting, but is not done either.
    meter = GaugedMeter(room, 2 * count)
    async with sensing(bus, room, meter, Ring(), threads=2):
        told = await features(bus, 2 * count)
    loud = {
        name: [e for e in told if isinstance(e, LoudnessMeasured) and e.session_id == name]
        for name in ("live", "vod")
    }
    frames = {name: frames_of(told, name) for name in loud}
    # 320 s behind at 16; 150 s are left after 124, and then less by two seconds each.
    assert [e.seq for e in loud["live"] if e.gap] == list(range(16, 124))
    assert [e.seq for e in loud["live"]] == list(range(count))
    assert frames["live"] == [*range(4), *range(184, count)]
    assert not any(e.gap for e in loud["vod"])
    assert frames["vod"] == list(range(count))
    assert meter.counts["clipthat_shed_total", "frames", "live"] == 12 + 60
    assert meter.counts["clipthat_shed_total", "phrases", "live"] == 9 + 45
    assert meter.counts["clipthat_shed_total", "segments", "live"] == 108
    assert not any(key[0] == "clipthat_shed_total" and key[2] != "live" for key in meter.counts)
    assert room.forgotten == ["live"]
    words = [e for e in await everything(bus, "sessions") if isinstance(e, ChannelDegraded)]
    assert [(e.session_id, e.reason) for e in words] == [
        *[("live", "overloaded")] * 3,
        ("live", "caught_up"),
    ]
    assert words[-1].detail == (
        "the machine could not keep up: 72 frames, the search for spoken phrases in 108 s"
        " and 216 s as a whole left out"
    )
    lagged = [e for e in await everything(bus, "moments") if isinstance(e, LiveLagged)]
    assert {e.session_id for e in lagged} == {"live"}
    assert [e.over for e in lagged] == [False] * (len(lagged) - 1) + [True]


def frames_of(told: Sequence[Event], session_id: str) -> list[int]:
    """Return the numbers of the segments that a frame was kept of."""
    frames = [each for each in told if isinstance(each, FrameDescribed)]
    return [int(each.media_s / LENGTH_S) for each in frames if each.session_id == session_id]


async def test_how_far_live_is_behind_can_be_watched(bus: LocalBus, room: Room) -> None:
    await bus.publish([begun("live", "live"), *segments("live", 100)])
    await bus.publish([begun("vod", "vod"), *segments("vod", 100)])
    meter = GaugedMeter(room, 1_000)
    # The first is being heard, and the second waits, with 98 behind it.
    meter.behind_s = 70.0
    async with sensing(bus, room, meter, Ring(), threads=1):
        async with asyncio.timeout(LIMIT_S):
            await room.begun.wait()
            room.clock.now_s += 70.0
            await meter.is_behind.wait()


async def test_a_restart_says_that_it_has_caught_up(bus: LocalBus, room: Room) -> None:
    said = ChannelDegraded(**names("live"), media_s=2.0, reason="overloaded", detail="busy")
    await bus.publish([begun("live", "live"), said, *segments("live", 3)])
    async with sensing(bus, room, GaugedMeter(room, 3), Ring(), threads=2):
        await features(bus, 3)
    words = [e for e in await everything(bus, "sessions") if isinstance(e, ChannelDegraded)]
    assert [each.reason for each in words] == ["overloaded", "caught_up"]


async def test_a_stream_that_begins_in_the_past_is_not_behind(bus: LocalBus, room: Room) -> None:
    """What the playlist lists already is known at once, and nobody has waited for it yet."""
    count = 150
    room.cost_s = {"live": 0.1}
    await bus.publish([begun("live", "live"), *segments("live", count)])
    meter = GaugedMeter(room, count)
    async with sensing(bus, room, meter, Ring(), threads=2):
        told = await features(bus, count)
    assert sum(isinstance(each, FrameDescribed) for each in told) == count
    assert not any(key[0] == "clipthat_shed_total" for key in meter.counts)


async def test_a_machine_that_has_slept_leaves_out_nothing(bus: LocalBus, room: Room) -> None:
    room.clock.now_s += 3600.0
    await bus.publish([begun("live", "live"), *segments("live", 10)])
    meter = GaugedMeter(room, 10)
    async with sensing(bus, room, meter, Ring(), threads=2):
        told = await features(bus, 10)
    assert sum(isinstance(each, FrameDescribed) for each in told) == 10
    assert not any(key[0] == "clipthat_shed_total" for key in meter.counts)
