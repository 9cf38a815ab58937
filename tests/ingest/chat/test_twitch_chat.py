"""Who reads a Twitch channel's chat: the event socket, else the anonymous reader."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from ingest.chat.room import Room
from ingest.chat.said import SaidPlainly
from ingest.chat.source import ChatBatch
from ingest.chat.twitch_chat import RECONNECT, TwitchChat
from tests.ingest.chat.eventsub_world import START_S, World, passing, texts, twitch, until

CHAT = "channel.chat.message"


class AnonymousReader:
    """A `Feeder` as IRC is one: joined at once, unless it is told to wait."""

    def __init__(self) -> None:
        self.rooms: set[Room] = set()
        self.attached = 0

    async def attach(self, channel: str, room: Room) -> None:
        """Join."""
        self.attached += 1
        self.rooms.add(room)
        room.joined("irc")

    async def detach(self, channel: str, room: Room) -> None:
        """Leave."""
        if room in self.rooms:
            self.rooms.discard(room)
            room.cut("irc")

    def say(self, text: str, sent_s: float) -> None:
        """Tell a message, under the id that the event socket tells it by."""
        for room in self.rooms:
            room.hear(SaidPlainly(message_id=f"id of {text}", sent_s=sent_s, login="a", text=text))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with twitch() as running:
        yield running


async def chat_of(world: World, irc: AnonymousReader, login: str = "ana") -> TwitchChat:
    chat = TwitchChat(login, irc=irc, eventsub=world.hub(), timer=world.timer, meter=world.meter)
    await chat.open(START_S)
    return chat


async def heard(chat: TwitchChat, count: int) -> list[str]:
    """Drain until so many lines have come."""
    found: list[str] = []

    def hold() -> bool:
        return chat._room.held >= count

    await until(hold)
    found += texts(await chat.drain(1e9))
    return found


async def test_a_connected_channel_is_never_read_anonymously(world: World) -> None:
    world.account("ana")
    irc = AnonymousReader()
    chat = await chat_of(world, irc)
    await until(lambda: chat.is_joined)
    await world.say("ana", "hi")
    assert await heard(chat, 1) == ["hi"]
    assert irc.attached == 0
    await chat.close()
    await chat.close()


async def test_a_channel_that_is_not_connected_is_read_anonymously_at_once(world: World) -> None:
    irc = AnonymousReader()
    chat = await chat_of(world, irc)
    await until(lambda: chat.is_joined)
    assert chat.is_anonymous
    assert world.double.opened == 0
    batch: ChatBatch = await chat.drain(5.0)
    assert not batch.notices
    await chat.close()
    assert not irc.rooms


async def test_a_revoked_channel_goes_on_anonymously_and_says_so(world: World) -> None:
    account = world.account("ana")
    irc = AnonymousReader()
    chat = await chat_of(world, irc)
    await until(lambda: chat.is_joined)
    await world.double.until(lambda: world.double.posts[202] == 3)
    await world.say("ana", "one")
    await until(lambda: chat._room.held == 1)
    world.timer.now_s += 10.0
    await world.double.revoke("ana", CHAT)
    await until(lambda: chat.is_anonymous and chat.is_joined)
    irc.say("one", START_S)  # as the server's last lines may come again
    irc.say("two", START_S + 10.0)
    batch = await chat.drain(60.0)
    assert texts(batch) == ["one", "two"]
    assert batch.notices == (RECONNECT,)
    assert batch.gap_seconds <= set(range(11))
    account.token = "connected again"
    await passing(world.timer, lambda: not chat.is_anonymous)
    assert chat.is_joined
    assert not irc.rooms
    assert not (await chat.drain(1e9)).notices


async def test_both_read_for_a_while_and_each_line_counts_once(world: World) -> None:
    account = world.account("ana", connected=False)
    irc = AnonymousReader()
    chat = await chat_of(world, irc)
    await until(lambda: chat.is_joined)
    irc.say("one", START_S)
    account.token = "fresh"
    await passing(world.timer, lambda: not chat.is_anonymous)
    await world.say("ana", "one", "two")
    assert await heard(chat, 2) == ["one", "two"]


async def test_an_outage_is_read_anonymously_and_is_no_gap_meanwhile(world: World) -> None:
    world.account("ana")
    irc = AnonymousReader()
    chat = await chat_of(world, irc)
    await until(lambda: chat.is_joined)
    world.timer.now_s = START_S + 10.5
    await world.say("ana", "before")
    await until(lambda: chat._room.held == 1)
    world.double.refuses_sockets = True
    await world.double.drop("ana")
    await passing(world.timer, lambda: chat.is_anonymous and chat.is_joined)
    switched_s = world.timer.now_s
    assert switched_s >= START_S + 15.5  # patience first
    world.timer.advance(100.0)
    irc.say("meanwhile", world.timer.now_s)
    world.double.refuses_sockets = False
    await passing(world.timer, lambda: not chat.is_anonymous)
    await world.say("ana", "after")
    await until(lambda: chat._room.held == 3)
    batch = await chat.drain(1e6)
    assert texts(batch) == ["before", "meanwhile", "after"]
    assert batch.gap_seconds
    assert max(batch.gap_seconds) <= switched_s - START_S
    assert not batch.notices


async def test_a_short_drop_is_waited_for(world: World) -> None:
    world.account("ana")
    irc = AnonymousReader()
    chat = await chat_of(world, irc)
    await until(lambda: chat.is_joined)
    await world.double.until(lambda: world.double.posts[202] == 3)
    await world.double.drop("ana", 4000)
    await until(lambda: not chat.is_joined and world.timer.sleepers >= 2)
    world.timer.advance(1.0)
    await until(lambda: chat.is_joined)
    assert irc.attached == 0


async def test_a_server_that_refuses_subscriptions_is_an_outage(world: World) -> None:
    world.account("ana")
    world.double.answers = [429] * 12
    irc = AnonymousReader()
    chat = await chat_of(world, irc)
    await passing(world.timer, lambda: chat.is_anonymous)
    await passing(world.timer, lambda: not chat.is_anonymous)
    assert chat.is_joined


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_chat_counts_once_and_gaps_are_told(world: World, seed: int) -> None:
    world.account("ana")
    lots = random.Random(seed)
    irc = AnonymousReader()
    chat = await chat_of(world, irc)
    standing = chat._eventsub.standing("ana")
    await passing(world.timer, lambda: standing.is_heard)
    heard_ones: dict[str, float] = {}
    missed: dict[str, float] = {}

    async def say() -> None:
        world.timer.now_s += lots.choice([0.1, 0.7, 2.0])
        text, at_s = f"line {len(heard_ones) + len(missed)}", world.timer.now_s
        frame = world.double.chat("ana", text, message_id=f"id of {text}")
        (heard_ones if chat.is_joined else missed)[text] = at_s - START_S
        for _ in range(lots.choice([1, 1, 2])):
            await world.double.say("ana", frame)
        irc.say(text, at_s)

    for _ in range(80):
        match lots.choice(["say", "say", "say", "bad", "move", "drop", "outage", "back"]):
            case "bad" if standing.is_heard:
                await world.double.send_text("ana", lots.choice(["{", "[]", '{"metadata":1}']))
            case "move" if standing.is_heard:
                await world.double.move("ana")
            case "drop" | "outage" as how if standing.is_heard:
                await until(lambda: chat._room.held == len(heard_ones))
                world.double.refuses_sockets = how == "outage"
                await world.double.drop("ana", lots.choice([None, 4000, 4006]))
                await until(lambda: not standing.is_heard)
            case "back":
                world.double.refuses_sockets = False
                await passing(world.timer, lambda: standing.is_heard)
            case _:
                await say()
    await until(lambda: chat._room.held == len(heard_ones))
    end_s = world.timer.now_s - START_S + 1.0
    batch = await chat.drain(end_s)
    assert sorted(texts(batch)) == sorted(heard_ones)
    assert not [text for text, at_s in missed.items() if int(at_s) not in batch.gap_seconds]
    await chat.close()
