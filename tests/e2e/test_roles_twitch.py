"""A connected Twitch channel in roles: whoever leases it hears it as its owner."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from bus.events import ChatWindow, Event, SessionStarted
from bus.local import LocalBus
from tests.e2e.cluster import LIMIT_S, Cluster, RoleProcess, cluster, read_until, until
from tests.e2e.twitch_evening import (
    CHAT,
    CONNECTED,
    Evening,
    browser,
    connect,
    form_token,
    kept_lines,
)
from tests.hls_media import ts_segments

pytestmark = pytest.mark.timeout(LIMIT_S)

HOLDS = 'clipthat_worker_leases{kind="ingest"}'
OWN = (
    *("--set", "chat.log.flush_s=1", "--set", "chat.eventsub.patience_s=120"),
    *("--set", "ingest.lost_after_s=300", "--set", "twitch.flap_s=300"),
)
"""Everything is in the log at once; and a slow machine is given time."""
PAUSE_S = 0.1
QUIET_S = 1.0


def of_worker(settings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the settings without Twitch's app, of which a worker is told by control."""
    words = [word for word in settings if word != "--set" and not word.startswith("twitch.client")]
    return (*(word for one in words for word in ("--set", one)), *OWN)


async def test_a_leased_channel_is_heard_as_its_owner_by_one_worker_after_another(
    tmp_path: Path,
) -> None:
    evening = Evening(ts_segments(seconds=20, size="320x180"))
    channel = evening.channels[CONNECTED]
    async with evening.served(), cluster(tmp_path) as all_of:
        control = await all_of.start("control", *evening.settings, f"twitch.tv/{CONNECTED}")
        async with browser(control.address) as web, all_of.bus() as bus:
            await connect(evening, web)
            worker = ("ingest", *of_worker(evening.settings))
            both = await asyncio.gather(*(all_of.start(*worker) for _ in range(2)))
            evening.clock.at_s = time.time()
            channel.go_live("broadcast-1")
            async with talking(evening):
                await until(lambda: heard(evening))
                await more_lines(bus)
                await hand_over(evening, both)
                await more_lines(bus)
                assert evening.irc.seated(CONNECTED) == []
                await disconnect(evening, web)
                await more_lines(bus)
                await connect_again(evening, web)
                await more_lines(bus)
            assert await all_of.stop() == [0, 0]
            events = await everything(bus)
    check_lines(all_of, events)
    said = "".join(one.said for one in all_of.processes)
    assert not [secret for secret in evening.login.issued if secret in said]


@contextlib.asynccontextmanager
async def talking(evening: Evening) -> AsyncIterator[None]:
    """Have people talk all the while."""

    async def talk() -> None:
        while True:
            with contextlib.suppress(ConnectionResetError):  # of the worker that is killed
                await evening.say("viewer", "talk")
            await asyncio.sleep(PAUSE_S)

    talk_on = asyncio.create_task(talk())
    try:
        yield
    finally:
        talk_on.cancel()
        await asyncio.gather(talk_on, return_exceptions=True)


async def heard(evening: Evening) -> bool:
    """Return whether one socket hears the channel, and nobody reads it anonymously."""
    sockets = evening.events.listeners(CONNECTED, CHAT)
    return sockets == 1 and not evening.irc.seated(CONNECTED)


async def read_anonymously(evening: Evening) -> bool:
    """Return whether the channel is read by no socket, but anonymously."""
    sockets = evening.events.listeners(CONNECTED, CHAT)
    return not sockets and bool(evening.irc.seated(CONNECTED))


async def hand_over(evening: Evening, both: list[RoleProcess]) -> None:
    """Kill the worker that holds the channel; wait until the other one hears it."""
    counts = [await one.number(HOLDS) for one in both]
    assert sorted(counts) == [0, 1]
    holder, other = both[counts.index(1)], both[counts.index(0)]
    opened = evening.events.opened
    holder.kill()
    await holder.process.wait()

    async def is_taken_over() -> bool:
        return evening.events.opened > opened and await heard(evening)

    await until(is_taken_over)
    assert await other.number(HOLDS) == 1


async def disconnect(evening: Evening, web: httpx.AsyncClient) -> None:
    """Disconnect on the page; Twitch's sockets say nothing of it here, control does."""
    form = {"form_token": await form_token(web, "/connect")}
    page = await web.post(f"/connect/twitch/{evening.account.user_id}/disconnect", data=form)
    assert page.url.params["result"] == "disconnected"
    await until(lambda: read_anonymously(evening))


async def connect_again(evening: Evening, web: httpx.AsyncClient) -> None:
    """Connect once more while the channel is watched."""
    # The sockets' double learns the new token from us, later than a quick worker may show it.
    evening.events.refuses_sockets = True
    await connect(evening, web)
    evening.events.refuses_sockets = False
    await until(lambda: heard(evening))


async def more_lines(bus: LocalBus) -> None:
    """Wait until some more lines have been counted."""
    enough = lines_of(await everything(bus)) + 10
    await read_until(bus, ("chat",), lambda seen: lines_of(seen) >= enough)


async def everything(bus: LocalBus) -> list[Event]:
    """Return what has been told of sessions and chat, once nothing has come for a while."""
    found: list[Event] = []
    async with bus.subscribe(f"look-{uuid.uuid4().hex}", ("sessions", "chat")) as log:
        while records := await log.fetch(1000, QUIET_S):
            found += [record.event for record in records]
    return found


def lines_of(events: Sequence[Event]) -> int:
    return sum(event.lines for event in events if isinstance(event, ChatWindow))


def check_lines(all_of: Cluster, events: list[Event]) -> None:
    """One session; each line counts once, in the window of its second."""
    (started,) = [event for event in events if isinstance(event, SessionStarted)]
    windows = [event for event in events if isinstance(event, ChatWindow)]
    assert [window.media_s for window in windows] == list(range(len(windows)))
    lines = kept_lines(all_of.folder / "data", started.session_id)
    told = Counter(line["message_id"] for line in lines)
    assert set(told.values()) == {1}
    counted = Counter(math.floor(line["t_s"]) for line in lines if line["t_s"] < len(windows))
    assert {int(w.media_s): w.lines for w in windows if w.lines} == counted
