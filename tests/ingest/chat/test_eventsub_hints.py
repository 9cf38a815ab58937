"""Online and offline hints over event sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ingest.chat.eventsub import EventSubHub
from tests.ingest.chat.eventsub_world import World, passing, twitch, until

ONLINE = "stream.online"
OFFLINE = "stream.offline"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with twitch() as running:
        yield running


async def waiting(world: World, hub: EventSubHub, login: str) -> asyncio.Task[None]:
    """Wait for a hint in the background, once Twitch would tell it."""
    task = asyncio.create_task(hub.changed(login, 1e6))
    await world.double.until(
        lambda: world.double.subscribed(login, ONLINE) and world.double.subscribed(login, OFFLINE)
    )
    return task


@pytest.mark.parametrize("kind", [ONLINE, OFFLINE])
async def test_a_connected_channel_tells_of_itself(world: World, kind: str) -> None:
    world.account("ana")
    task = await waiting(world, world.hub(), "ana")
    assert not task.done()
    await world.double.say("ana", world.double.stream("ana", kind))
    async with asyncio.timeout(60):
        await task
    assert sum(s["cost"] for s in world.double.session_of("ana").subscriptions.values()) == 0


async def test_a_hint_between_two_waits_is_not_lost(world: World) -> None:
    world.account("ana")
    hub = world.hub()
    first = await waiting(world, hub, "ana")
    await world.double.say("ana", world.double.stream("ana", ONLINE))
    await first
    await world.double.say("ana", world.double.stream("ana", OFFLINE))
    await until(lambda: hub._hints["ana"].is_set())
    async with asyncio.timeout(60):
        await hub.changed("ana", 1e6)


async def test_without_a_hint_the_wait_is_as_long_as_it_is_set(world: World) -> None:
    task = asyncio.create_task(world.hub().changed("nobody", 30.0))
    await until(lambda: world.timer.sleepers)
    world.timer.advance(29.0)
    await asyncio.sleep(0)
    assert not task.done()
    world.timer.advance(1.0)
    async with asyncio.timeout(60):
        await task


async def test_others_are_heard_of_on_a_connected_socket_within_the_cost(world: World) -> None:
    world.account("ana")
    hub = world.hub()
    tasks = [await waiting(world, hub, "ana")]
    others = [world.account(f"other{n}", connected=False).login for n in range(5)]
    tasks += [await waiting(world, hub, login) for login in others]
    world.account("sixth", connected=False)
    tasks.append(asyncio.create_task(hub.changed("sixth", 1e6)))
    await until(lambda: world.timer.sleepers >= len(tasks))
    assert not world.double.subscribed("sixth", ONLINE)
    session = world.double.session_of("ana")
    assert sum(each["cost"] for each in session.subscriptions.values()) == 10
    await world.double.say("other3", world.double.stream("other3", ONLINE))
    async with asyncio.timeout(60):
        await tasks[4]
    assert [task.done() for task in tasks] == [False] * 4 + [True] + [False] * 2
    await hub.forget("other3")
    await world.double.until(lambda: not world.double.subscribed("other3", ONLINE))
    await asyncio.wait_for(_again(hub, world, "sixth"), 60)
    for task in tasks:
        task.cancel()


async def _again(hub: EventSubHub, world: World, login: str) -> None:
    """Ask anew, as whoever watches does after each wait."""
    task = await waiting(world, hub, login)
    task.cancel()


async def test_chat_and_hints_share_a_socket_and_end_apart(world: World) -> None:
    world.account("ana")
    hub = world.hub()
    room = await world.room("ana", hub)
    task = await waiting(world, hub, "ana")
    await passing(world.timer, lambda: room.is_joined)
    assert world.double.opened == 1
    await room.close()
    await world.double.until(lambda: not world.double.subscribed("ana", "channel.chat.message"))
    await world.double.say("ana", world.double.stream("ana", ONLINE))
    async with asyncio.timeout(60):
        await task
    await hub.forget("ana")
    await world.double.until(lambda: not world.double.sessions)
