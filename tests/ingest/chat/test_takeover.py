"""Two workers hear one connected channel for a while: each line counts once all the same."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from bus.events import ChatWindow
from bus.ports import SilentMeter
from ingest.chat.log import ChatLog
from ingest.chat.room import Room
from ingest.chat.window import ChatWindows
from ingest.chat_writer import ChatWriter
from store.fenced import FencedObjects
from store.leases import LeaseLost
from tests.ingest.chat.eventsub_world import START_S, World, twitch, until
from tests.render.fakes import MemoryObjects


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with twitch() as running:
        yield running


@dataclass
class Worker:
    """One worker's reading of the channel, as a watch does it."""

    room: Room
    writer: ChatWriter
    is_fenced: bool = False


async def work(world: World, objects: MemoryObjects, first_s: float) -> Worker:
    """Begin to read after windows up to `first_s` have been published."""

    def check() -> None:
        if worker.is_fenced:
            raise LeaseLost("over")

    hub = world.hub()
    room = Room("ana", hub, clock=world.timer.now)
    names = {"tenant_id": "t", "session_id": "s"}
    log = ChatLog(FencedObjects(objects, check), **names)
    windows = ChatWindows(channel_id="c", first_s=first_s, **names)
    worker = Worker(room, ChatWriter(room, windows, log, SilentMeter()))
    await log.open(first_s)
    await room.open(START_S)
    await until(lambda: room.is_joined)
    return worker


async def say(world: World, text: str, at_s: float, *hear: Worker) -> None:
    """Have a line said that these workers hear."""
    counts = [one.room.held for one in hear]
    world.timer.now_s = START_S + at_s
    await world.say("ana", text)
    await until(lambda: all(one.room.held > n for one, n in zip(hear, counts, strict=True)))


async def test_a_line_counts_once_whoever_hears_it(world: World) -> None:
    world.account("ana")
    objects = MemoryObjects()
    first = await work(world, objects, 0.0)
    await say(world, "one", 1.5, first)
    await say(world, "two", 3.5, first)
    published = {w.event_id: w for w in await first.writer.finish(5.0)}

    # The first worker stands still with its socket open; another takes over what it had published.
    second = await work(world, objects, first.writer.until_s)
    assert len(world.double.sessions) == 2
    await say(world, "three", 7.5, first, second)
    goes_on = await second.writer.finish(10.0)
    published |= {w.event_id: w for w in goes_on}

    # The first one goes on in the same seconds: they are the same events, and its log is fenced.
    first.is_fenced = True
    with pytest.raises(LeaseLost):
        await first.writer.finish(10.0)
    await first.room.close()
    await world.double.until(lambda: len(world.double.sessions) == 1)

    lines = kept(objects)
    assert Counter(line["message_id"] for line in lines) == Counter(
        f"id of {text}" for text in ("one", "two", "three")
    )
    assert counted(list(published.values())) == dict(
        Counter(math.floor(line["t_s"]) for line in lines)
    )


async def test_windows_of_two_workers_are_the_same_events(world: World) -> None:
    world.account("ana")
    first = await work(world, MemoryObjects(), 0.0)
    second = await work(world, MemoryObjects(), 0.0)
    await say(world, "one", 1.5, first, second)
    told = [await one.writer.finish(3.0) for one in (first, second)]
    assert told[0] == told[1]


async def test_what_was_said_before_the_takeover_and_comes_late_is_not_counted_again(
    world: World,
) -> None:
    world.account("ana")
    objects = MemoryObjects()
    first = await work(world, objects, 0.0)
    world.timer.now_s = START_S + 3.5
    frame = world.double.chat("ana", "slow", message_id="m-slow")
    await world.double.say("ana", frame)
    await until(lambda: first.room.held)
    (heard,) = [w for w in await first.writer.finish(5.0) if w.lines]
    assert heard.media_s == 3.0
    second = await work(world, objects, 5.0)
    await world.double.say("ana", frame)
    await until(lambda: second.room.held)
    assert not [w for w in await second.writer.finish(8.0) if w.lines]
    assert [line["message_id"] for line in kept(objects)] == ["m-slow"]


def counted(windows: list[ChatWindow]) -> dict[int, int]:
    return {int(window.media_s): window.lines for window in windows if window.lines}


def kept(objects: MemoryObjects) -> list[dict[str, object]]:
    """Return the lines that the session's log keeps."""
    records = [
        json.loads(line)
        for key in sorted(objects.kept)
        for line in gzip.decompress(objects.kept[key]).splitlines()
    ]
    return [record for record in records if "message_id" in record]
