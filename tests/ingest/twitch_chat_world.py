"""Twitch's chat over real sockets, in pretended time, and the truth about what it delivered.

The clock stands while anything is on its way between the doubles and the product, so that what the
doubles know at any moment is what the product must know as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from twitchio.http import Route

from ingest.chat.eventsub import EventSubHub
from ingest.chat.irc_connection import IrcConnection, connect
from ingest.chat.irc_hub import IrcHub
from ingest.chat.irc_parse import parse_address
from ingest.chat.settings import IrcSettings
from ingest.chat.twitch_chat import TwitchChat
from ingest.twitch.eventsub_frames import Notified
from ingest.twitch.eventsub_settings import EventSubSettings
from store.twitch.settings import TwitchSettings
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.twitch.eventsub import Account, EventSubDouble
from tests.doubles.twitch.irc import Reader, TwitchIrc
from tests.doubles.twitch.server import serving
from tests.ingest.chat.eventsub_world import CountingMeter, FakeTokens
from tests.ingest.twitch_world import World

LOGIN = "ann"
CHAT = "channel.chat.message"
SLOW_S = 120.0
"""Limit of whatever is bounded in real time, for a slow machine."""
_MALFORMED_LINES = (
    "",
    ":",
    "@",
    "@id=1",
    "PRIVMSG",
    f":x!x@x PRIVMSG #{LOGIN}",
    "@a=b;;=; :x!x PRIVMSG",
    f":tmi.twitch.tv 366 #{LOGIN}",
    "@badges=%;emotes=9:9-1 :tmi.twitch.tv USERNOTICE",
    "\ufffd\x00\x01",
    ":tmi.twitch.tv CAP * NAK :" + "x" * 20_000,
)
_MALFORMED_FRAMES = ("{", "[]", "null", '"x"', "\x00", '{"metadata":1}', '{"metadata":{}}')


class _CountingQueue(asyncio.Queue[str | None]):
    """Counts what was ever put in."""

    put_count = 0

    def put_nowait(self, item: str | None) -> None:
        self.put_count += 1
        super().put_nowait(item)


class CountingIrc(TwitchIrc):
    """The chat server, which knows how much it has said and heard."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.known: dict[str, Reader] = {}
        """Connections by the name that their client has given itself."""
        self.heard: Counter[str] = Counter()

    def enter(self) -> Reader:
        """Take a connection in."""
        reader = super().enter()
        reader.out = _CountingQueue()
        return reader

    def hear(self, reader: Reader, line: str) -> None:
        """Answer one message of a client, whose first one names its capabilities."""
        super().hear(reader, line)
        if reader.nick:
            self.known[reader.nick] = reader
            self.heard[reader.nick] += 1


@dataclass
class _Client:
    """One connection of the product's, and how far it has come."""

    connection: IrcConnection | None = None
    nick: str = ""
    sent: int = 0
    """Messages since it has given itself a name, that one included."""
    received: int = 0

    async def send(self, line: str) -> None:
        assert self.connection is not None
        if line.startswith("NICK "):
            self.nick = line.removeprefix("NICK ")
        self.sent += bool(self.nick)
        await self.connection.send(line)

    async def receive(self) -> list[str] | None:
        assert self.connection is not None
        lines = await self.connection.receive()
        self.received += 1
        return lines


class _Counting(EventSubHub):
    """Counts the notifications that have come."""

    came = 0

    def heard(self, login: str, event: Notified) -> None:
        """Take an event."""
        super().heard(login, event)
        self.came += 1


class _Watchful:
    """A timer that knows whether somebody waits."""

    def __init__(self, timer: FakeTimer) -> None:
        self._timer = timer
        self.waiting = 0

    def now(self) -> float:
        return self._timer.now()

    async def sleep(self, seconds: float) -> None:
        self.waiting += 1
        try:
            await self._timer.sleep(seconds)
        finally:
            self.waiting -= 1


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was delivered."""

    sent_s: float
    """When it says that it was sent; its arrival where that cannot be believed."""
    arrived_s: float
    is_believed: bool


class ChatWorld:
    """Chat servers, their faults, and what they have delivered."""

    def __init__(self, world: World, url: str, irc: CountingIrc, events: EventSubDouble) -> None:
        self.world = world
        self.irc = irc
        self.events = events
        self.account = events.add(Account(user_id="1", login=LOGIN, token="first"))
        self.meter = CountingMeter()
        self.delivered: dict[str, Line] = {}
        self.listened: list[tuple[float, bool]] = []
        """(time, whether somebody was joined), at each look."""
        self.unsure: list[tuple[float, float]] = []
        """From the last word of a connection to its loss: told as a gap or not."""
        self._clients: list[_Client] = []
        self._hub_timer = _Watchful(world.timer)
        self._said = 0
        self._frames = 0
        self._last_s = world.timer.now()
        self._socket_url = f"ws{url.removeprefix('http')}"
        self.hub = _Counting(
            TwitchSettings(
                client_id="app",
                helix_url=f"{url}/helix",
                id_url=f"{url}/oauth2",
                eventsub_url=f"{self._socket_url}/ws",
                timeout_s=SLOW_S,
            ),
            FakeTokens(events),
            eventsub=EventSubSettings(connect_timeout_s=SLOW_S),
            meter=self.meter,
            timer=self._hub_timer,
        )
        self.anonymous = IrcHub(
            IrcSettings(connect_timeout_s=SLOW_S),
            url=self._socket_url,
            meter=self.meter,
            timer=world.timer,
            opener=self._open,
        )
        self.chat = TwitchChat(
            LOGIN, irc=self.anonymous, eventsub=self.hub, timer=world.timer, meter=self.meter
        )

    # --- what is on its way -------------------------------------------------------------------

    def _open(self) -> AbstractAsyncContextManager[IrcConnection]:
        return self._opened()

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[IrcConnection]:
        client = _Client()
        with self.held():
            opening = connect(parse_address(f"{self._socket_url}/#{LOGIN}", ""), 16_384)
            client.connection = await opening.__aenter__()
        self._clients.append(client)
        try:
            yield client
        finally:
            self._clients.remove(client)
            with self.held():
                await opening.__aexit__(None, None, None)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let no time pass meanwhile."""
        self.world.flying += 1
        try:
            yield
        finally:
            self.world.flying -= 1

    def is_moving(self) -> bool:
        """Whether anything is on its way between the servers and the product."""
        return any(map(self._is_moving, self._clients)) or self._is_subscribing()

    def _is_moving(self, client: _Client) -> bool:
        reader = self.irc.known.get(client.nick)
        if reader is None:
            return True
        assert isinstance(reader.out, _CountingQueue)
        unheard = client.sent - self.irc.heard[client.nick]
        return unheard > 0 or client.received != reader.out.put_count

    def _is_subscribing(self) -> bool:
        """Whether the event socket is neither as it should be nor waits for a better time."""
        line = self.hub._lines.get(LOGIN)
        if line is None or self._hub_timer.waiting:
            return False
        sessions = [s for s in self.events.sessions.values() if s.owner == self.account.user_id]
        wanted = len(line.subscriptions.wants)
        return not (
            self.hub.standing(LOGIN).is_heard
            and len(sessions) == 1
            and len(sessions[0].subscriptions) == wanted
        )

    async def _until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(SLOW_S):
            while not holds():  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0)

    # --- the truth ----------------------------------------------------------------------------

    @property
    def by_irc(self) -> bool:
        """Whether the anonymous reader sits in the channel."""
        nicks = {client.nick for client in self._clients}
        return any(reader.nick in nicks for reader in self.irc.seated(LOGIN))

    @property
    def by_events(self) -> bool:
        """Whether the event socket is subscribed to the chat."""
        return self.events.subscribed(LOGIN, CHAT)

    def look(self) -> None:
        """Note whether somebody is joined now."""
        self.listened.append((self.world.timer.now(), self.by_irc or self.by_events))

    # --- what happens in chat -------------------------------------------------------------------

    async def say(self, lots: random.Random) -> None:
        """Have somebody write a line, late, twice or with a lie about its time now and then."""
        now_s = self.world.timer.now()
        self._said += 1
        name = f"m{self._said}"
        delay_s = lots.uniform(0.2, 1.5) if lots.random() < 0.15 else 0.0
        lies = lots.random() < 0.02
        told_s = now_s - 40_000.0 if lies else now_s - delay_s
        times = lots.choice([1, 1, 1, 2, 3])
        if self.by_irc or self.by_events:
            self.delivered[name] = Line(now_s if lies else told_s, now_s, not lies)
            self._last_s = now_s
        self.irc.post(LOGIN, name, told_s, user=f"user{self._said % 500}", times=times)
        if self.by_events:
            await self._send(name, told_s, times)

    async def _send(self, name: str, told_s: float, times: int) -> None:
        """Deliver a line over the event socket: anew under another id, then the same once more."""
        moment = datetime.fromtimestamp(told_s, UTC).isoformat().replace("+00:00", "Z")
        frames = []
        for _ in range(times):
            frame = self.events.chat(LOGIN, f"text {name}", message_id=name, by=f"user{name}")
            frame["metadata"]["message_timestamp"] = moment
            frames.append(frame)
        with self.held():
            for frame in [*frames, *frames[: times - 1]]:
                self._frames += 1
                await self.events.say(LOGIN, frame)
            await self._until(lambda: self._taken == self._frames)

    @property
    def _taken(self) -> int:
        return self.hub.came + self.meter.counts["eventsub_duplicates_total"]

    # --- faults ---------------------------------------------------------------------------------

    async def drop(self, lots: random.Random) -> None:
        """Cut off whoever hears."""
        self.unsure.append((self._last_s, self.world.timer.now()))
        self.irc.drop()
        if self.by_events:
            with self.held():
                await self.events.drop(LOGIN, lots.choice([None, 4000, 4002, 4006]))
                await self._until(lambda: not self.hub.standing(LOGIN).is_heard)
        self.look()

    async def revoke(self) -> None:
        """The streamer takes the permission back."""
        if self.by_events:
            self.unsure.append((self._last_s, self.world.timer.now()))
            with self.held():
                await self.events.revoke(LOGIN, CHAT)
                await self._until(lambda: not self.hub.standing(LOGIN).is_heard)
            self.look()

    async def move(self) -> None:
        """The event socket is asked to go on elsewhere."""
        if self.by_events:
            with self.held():
                before = self.meter.counts["eventsub_moves_total"]
                await self.events.move(LOGIN)
                await self._until(lambda: self.meter.counts["eventsub_moves_total"] > before)

    def reconnect(self) -> None:
        """The chat server asks every connection to go."""
        for reader in list(self.irc.readers):
            self.irc.reconnect(reader)

    async def malformed(self) -> None:
        """Say what makes no sense."""
        for line in _MALFORMED_LINES:
            self.irc.say(LOGIN, line)
        if not self.by_events:
            return
        frames = [*_MALFORMED_FRAMES]
        with self.held():
            before = self.meter.counts["eventsub_malformed_total"]
            for frame in frames:
                await self.events.send_text(LOGIN, frame)
            empty = self.events.notification(LOGIN, CHAT, {"message": None, "badges": 1})
            await self.events.say(LOGIN, empty)
            self._frames += 1
            await self._until(
                lambda: self.meter.counts["eventsub_malformed_total"] > before + len(frames)
            )


@contextlib.asynccontextmanager
async def chat_world(world: World) -> AsyncIterator[ChatWorld]:
    """Serve chat beside a world; no rule of Twitch's may be broken."""
    servers = Route.BASE, Route.ID_BASE
    irc = CountingIrc(world.timer.now)
    events = EventSubDouble(world.timer.now, keepalive_s=3_600.0, users=True)
    events.unused_s = SLOW_S
    async with serving(irc, events) as url:
        chat = ChatWorld(world, url, irc, events)
        world.waits_for = chat.is_moving
        try:
            yield chat
        finally:
            await chat.hub.close()
            await chat.anonymous.close()
            Route.BASE, Route.ID_BASE = servers
    assert [*irc.violations, *events.violations] == []
