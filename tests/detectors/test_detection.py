from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.events import Event, MomentDetected, MomentsSettled
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from bus.stage import Ctx
from detectors.detection import Detection
from detectors.settings import HostSettings
from tests.detectors.world import CountingMeter, Notebook, chat, ended, loudness, started


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    async with LocalBus.open(tmp_path / "log.db", LocalBusSettings(synchronous="NORMAL")) as bus:
        yield bus


def whole_session(number: int) -> list[Event]:
    events: list[Event] = [started(), ended(6.0, 6.0)]
    events += [loudness(seq, seq * 2.0, 2.0) for seq in range(3)]
    events += [chat(float(second)) for second in range(6)]
    return [
        dataclasses.replace(event, session_id=f"s{number}", channel_id=f"c{number}", event_id="")
        for event in events
    ]


async def outcomes(bus: LocalBus, finals: int, group: str) -> list[Event]:
    seen: list[Event] = []
    async with asyncio.timeout(30), bus.subscribe(group, ("moments",)) as moments:
        while sum(isinstance(e, MomentsSettled) and e.final for e in seen) < finals:
            seen += [record.event for record in await moments.fetch(100, 0.5)]
    return seen


async def test_sessions_become_moments_and_a_final_word(bus: LocalBus) -> None:
    meter = CountingMeter()
    ctx = Ctx(bus=bus, meter=meter)
    stage = asyncio.create_task(Detection(lambda _: [Notebook()]).run(ctx))
    await bus.publish([event for number in range(3) for event in whole_session(number)])
    seen = await outcomes(bus, 3, "test")
    ctx.draining.set()
    await stage
    for number in range(3):
        own = [event for event in seen if event.session_id == f"s{number}"]
        assert isinstance(own[-1], MomentsSettled)
        assert own[-1].final
    assert len({event.event_id for event in seen}) == len(seen)
    assert meter.gauges["clipthat_detectors_open_sessions"] == 0


async def test_what_is_fed_for_want_of_room_is_counted_while_the_session_runs(
    bus: LocalBus,
) -> None:
    meter = CountingMeter()
    ctx = Ctx(bus=bus, meter=meter)
    small = HostSettings(waiting_max=4)
    stage = asyncio.create_task(Detection(lambda _: [Notebook()], small).run(ctx))
    await bus.publish([started(), *(chat(float(second)) for second in range(6))])
    told: list[Event] = []
    async with asyncio.timeout(30), bus.subscribe("test", ("moments",)) as moments:
        while len(told) < 2:
            told += [record.event for record in await moments.fetch(100, 0.5)]
    ctx.draining.set()
    await stage
    assert len(told) == 2
    assert meter.counts["clipthat_detectors_forced_total",] == 2


async def test_a_killed_stage_goes_on_where_it_was(bus: LocalBus) -> None:
    events = whole_session(0)
    straight = [*events[:1], *events[2:]]
    await bus.publish(straight[:6])
    detection = Detection(lambda _: [Notebook()])
    killed = asyncio.create_task(detection.run(Ctx(bus=bus)))
    async with asyncio.timeout(30), bus.subscribe("watch", ("moments",)) as moments:
        while not await moments.fetch(10, 0.5):
            pass
    killed.cancel()
    await asyncio.wait([killed])
    await bus.publish([*straight[6:], events[1]])
    ctx = Ctx(bus=bus)
    stage = asyncio.create_task(Detection(lambda _: [Notebook()]).run(ctx))
    seen = await outcomes(bus, 1, "test")
    ctx.draining.set()
    await stage
    moments_seen = [event for event in seen if isinstance(event, MomentDetected)]
    assert [each.kind for each in moments_seen].count("LoudnessMeasured") == 3
    assert [each.kind for each in moments_seen].count("ChatWindow") == 6
