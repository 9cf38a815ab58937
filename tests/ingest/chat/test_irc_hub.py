"""The hub of anonymous connections, against a server that keeps Twitch's limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chat.irc_hub import IrcHub, IrcHubs
from ingest.chat.room import Room
from ingest.chat.settings import IrcSettings
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.twitch.irc import TwitchIrc

START_S = 1_700_000_000.0
LIMIT_S = 30


class World:
    """A hub and a server in memory, on a pretended clock."""

    def __init__(self, irc: IrcSettings | None = None) -> None:
        self.timer = FakeTimer(START_S)
        self.server = TwitchIrc(self.timer.now)
        self.hub = IrcHub(irc, timer=self.timer, opener=self.server.opener)
        self.rooms: dict[str, Room] = {}

    async def room(self, channel: str) -> Room:
        room = Room(channel, self.hub, clock=self.timer.now)
        await room.open(START_S)
        self.rooms[channel] = room
        return room

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not is_so():
                await self.timer.sleep(0.05)

    async def close(self) -> None:
        for room in self.rooms.values():
            await room.close()
        assert self.hub.connections == 0
        assert self.server.violations == []


async def ids(room: Room, until_s: float = 1e6) -> list[str]:
    return [line.message_id for line in (await room.drain(until_s)).lines]


async def test_hundreds_of_channels_are_joined_within_the_limits() -> None:
    world = World()
    rooms = [await world.room(f"c{number}") for number in range(200)]
    await world.until(lambda: all(room.is_joined for room in rooms))
    assert world.hub.connections == 3
    assert max(len(reader.channels) for reader in world.server.readers) <= 90
    assert world.timer.now() - START_S < 150
    assert all("twitch.tv/tags" in reader.caps for reader in world.server.readers)
    world.server.post("c7", "m1", world.timer.now())
    world.server.post("c150", "m2", world.timer.now())
    await world.until(lambda: rooms[7].held + rooms[150].held == 2)
    assert await ids(rooms[7]) == ["m1"]
    for number in range(100, 200):
        await rooms[number].close()
    await world.until(lambda: world.hub.connections == 2)
    await world.close()


async def test_a_suspended_or_deaf_channel_hurts_nobody() -> None:
    world = World()
    world.server.suspended.add("gone")
    world.server.deaf.add("deaf")
    rooms = [await world.room(name) for name in ("gone", "deaf", "good")]
    await world.until(lambda: rooms[2].is_joined)
    start_s = world.timer.now()
    await world.until(lambda: world.timer.now() > start_s + 1_000)
    assert [room.is_joined for room in rooms] == [False, False, True]
    world.server.suspended.clear()
    world.server.deaf.clear()
    await world.until(lambda: all(room.is_joined for room in rooms))
    await world.close()


async def test_a_lost_connection_is_a_gap_and_joined_again() -> None:
    world = World()
    room = await world.room("demo")
    await world.until(lambda: room.is_joined)
    await world.until(lambda: world.timer.now() >= START_S + 20.5)
    await room.drain(10.0)
    world.server.is_down = True
    world.server.drop()
    await world.until(lambda: not room.is_joined)
    await world.until(lambda: world.timer.now() >= START_S + 30)
    world.server.is_down = False
    await world.until(lambda: room.is_joined)
    joined_s = world.timer.now() - START_S
    gaps = (await room.drain(200.0)).gap_seconds
    assert set(range(20, int(joined_s))) <= gaps
    assert min(gaps) >= 20
    assert max(gaps) <= joined_s
    await world.close()


async def test_a_server_that_welcomes_and_drops_is_not_dialled_in_a_hurry() -> None:
    world = World()
    room = await world.room("demo")
    while world.timer.now() < START_S + 120:
        await world.until(lambda: room.is_joined or world.timer.now() >= START_S + 120)
        world.server.drop()
        await world.until(lambda: not room.is_joined)
    assert 5 <= world.server.opened <= 12
    await world.close()


async def test_a_reconnect_that_is_asked_for_leaves_no_gap() -> None:
    world = World()
    rooms = [await world.room(f"c{number}") for number in range(30)]
    await world.until(lambda: all(room.is_joined for room in rooms))
    for room in rooms:
        await room.drain(world.timer.now() - START_S + 1.0)
    old = world.server.readers[0]
    world.server.reconnect(old)
    await world.until(lambda: world.server.opened == 2)
    await world.until(lambda: old not in world.server.readers)
    for number, room in enumerate(rooms):
        assert room.is_joined
        world.server.post(f"c{number}", "m1", world.timer.now(), times=2)
    await world.until(lambda: all(room.held for room in rooms))
    for room in rooms:
        batch = await room.drain(world.timer.now() - START_S + 1.0)
        assert batch.gap_seconds == frozenset()
        assert len(batch.lines) == 1
    await world.close()


async def test_a_silent_server_is_asked_and_given_up() -> None:
    world = World()
    room = await world.room("demo")
    await world.until(lambda: room.is_joined)
    await world.until(lambda: world.timer.now() >= START_S + 600)
    assert world.server.opened == 1
    world.server.is_mute = True
    await world.until(lambda: world.server.opened == 2)
    world.server.is_mute = False
    await world.until(lambda: room.is_joined)
    world.server.ping()
    await world.until(lambda: world.server.pongs == 1)
    await world.close()


async def test_what_a_moderator_removes_does_not_count() -> None:
    world = World()
    room = await world.room("demo")
    await world.until(lambda: room.is_joined)
    for message_id, user in (("m1", "ana"), ("m2", "bot"), ("m3", "bo")):
        world.server.post("demo", message_id, world.timer.now(), user=user)
    world.server.say("demo", "@room-id=1 :tmi.twitch.tv CLEARCHAT #demo :bot")
    world.server.say("demo", "@target-msg-id=m3 :tmi.twitch.tv CLEARMSG #demo :text")
    world.server.post("demo", "m4", world.timer.now())
    await world.until(lambda: room.held == 4)
    assert await ids(room) == ["m1", "m4"]
    await world.close()


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(1, 3)),
        st.tuples(st.just("drop"), st.just(0)),
        st.tuples(st.just("reconnect"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
        st.tuples(st.just("rubbish"), st.just(0)),
        st.tuples(st.just("drain"), st.just(0)),
    ),
    max_size=25,
)


@given(_STEPS)
@settings(max_examples=40, deadline=None)
def test_chat_counts_once_through_whatever_happens(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, int]]) -> None:
    world = World()
    room = await world.room("demo")
    sent: list[str] = []
    told: list[str] = []
    heard: list[str] = []
    gaps: set[int] = set()
    for number, (what, many) in enumerate(steps):
        now_s = world.timer.now()
        match what:
            case "post":
                message_id = f"m{number}"
                sent.append(message_id)
                if room.is_joined and world.server.seated("demo"):
                    told.append(message_id)
                world.server.post("demo", message_id, now_s - many, times=many)
            case "drop":
                world.server.drop()
            case "reconnect":
                for reader in list(world.server.readers):
                    world.server.reconnect(reader)
            case "rubbish":
                world.server.piece("@id=\r\n:\r\n\r\nPRIVMSG\r\n@;;; :a!b PRIVMSG #demo\r\n")
            case "drain":
                batch = await room.drain(now_s - START_S)
                heard += [line.message_id for line in batch.lines]
                gaps |= batch.gap_seconds
            case _:
                pass
        await world.timer.sleep(float(many) if what == "wait" else 0.2)
    await world.until(lambda: room.is_joined)
    heard += await ids(room)
    assert len(heard) == len(set(heard))
    assert set(told) <= set(heard) <= set(sent)
    assert all(second >= 0 for second in gaps)
    await world.close()


@pytest.mark.parametrize("way", ["tcp", "websocket"])
async def test_over_real_sockets(way: str) -> None:
    now_s = [START_S]
    server = TwitchIrc(lambda: now_s[0])
    runner = None
    async with server.over_tcp() as url:
        if way == "websocket":
            app = web.Application()
            server.attach(app)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        hubs = IrcHubs(IrcSettings(backoff_first_s=0.01, backoff_max_s=0.02))
        room = hubs.room(f"{url}/#demo")
        await room.open(None)
        async with asyncio.timeout(LIMIT_S):
            for turn in range(2):
                await _turn(lambda: room.is_joined)
                server.ping()
                for number in range(20):
                    server.post("demo", f"m{turn}-{number}", now_s[0], times=2)
                if way == "tcp":
                    server.piece(f"@id=half{turn} :é!b PRIV")
                    server.piece(f"MSG #demo :half\r\n@id=whole{turn} :é!b PRIVMSG #demo :é\r\n")
                await _turn(_holds(room, (turn + 1) * (20 + 2 * (way == "tcp"))))
                server.drop()
                await _turn(lambda: not room.is_joined)
        batch = await room.drain(1e9)
        assert len(batch.lines) == 40 + 4 * (way == "tcp")
        await room.close()
        await hubs.close()
        assert server.pongs >= 1
    if runner is not None:
        await runner.cleanup()


async def _turn(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - what is awaited has no event
        await asyncio.sleep(0)


def _holds(room: Room, lines: int) -> Callable[[], bool]:
    return lambda: room.held >= lines


@pytest.mark.parametrize("turns", range(12))
async def test_who_comes_while_the_last_one_leaves_is_joined(turns: int) -> None:
    world = World()
    ana = await world.room("ana")
    await world.until(lambda: ana.is_joined)
    leaving = asyncio.create_task(ana.close())
    for _ in range(turns):
        await asyncio.sleep(0)
    ben = await world.room("ben")
    await leaving
    await world.until(lambda: ben.is_joined)
    await world.close()
