"""Twitch's event sockets on loopback, who is connected, and a hub that hears."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from twitchio.http import Route

from ingest.chat.eventsub import EventSubHub
from ingest.chat.room import Feeder, Room
from ingest.chat.source import ChatBatch
from ingest.twitch.eventsub_settings import EventSubSettings
from store.twitch.errors import TokensAway
from store.twitch.settings import TwitchSettings
from store.twitch.tokens import UserToken
from tests.doubles.hand_timer import HandTimer
from tests.doubles.twitch.eventsub import Account, EventSubDouble
from tests.doubles.twitch.server import serving

START_S = 1_700_000_000.0


class FakeTokens:
    """Implements `Tokens`: what the double's accounts have allowed, renewed when it is asked."""

    def __init__(self, double: EventSubDouble) -> None:
        self._double = double
        self._stale: dict[str, str] = {}
        self.renews = True
        self.away: set[str] = set()
        """Questions for which nobody is there: `of`, `refused`, `revoked`."""
        self.client_ids: dict[str, str] = {}
        """Apps that are not that of the settings, by the channel."""
        self.told: list[str] = []
        self.refusals = 0

    def hold_stale(self, login: str, token: str) -> None:
        """Give a token that is no longer valid, until it is refused."""
        self._stale[login] = token

    async def of(self, login: str) -> UserToken | None:
        """Return the channel's token."""
        self._may_be_asked("of")
        account = self._double.accounts.get(login)
        if account is None or not account.token:
            return None
        access = self._stale.get(login, account.token)
        return UserToken(
            user_id=account.user_id,
            login=login,
            access_token=access,
            scopes=account.scopes,
            client_id=self.client_ids.get(login, ""),
        )

    async def refused(self, token: UserToken) -> UserToken | None:
        """Return the fresh token, when there is one."""
        self.refusals += 1
        self._may_be_asked("refused")
        self._stale.pop(token.login, None)
        if not self.renews:
            self._double.accounts[token.login].token = ""
        return await self.of(token.login)

    async def revoked(self, user_id: str) -> None:
        """Take note."""
        self._may_be_asked("revoked")
        self.told.append(user_id)

    def _may_be_asked(self, question: str) -> None:
        if question in self.away:
            raise TokensAway("away")


class CountingMeter:
    """Counts what is counted, by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        """Add up."""
        self.counts[name.removeprefix("clipthat_")] += int(by)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Forget."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Forget."""


class World:
    """Everything that a test needs."""

    def __init__(self, double: EventSubDouble, timer: HandTimer, url: str) -> None:
        self.double = double
        self.timer = timer
        self.tokens = FakeTokens(double)
        self.meter = CountingMeter()
        self.settings = replace(
            TwitchSettings(client_id="app"),
            helix_url=f"{url}/helix",
            id_url=f"{url}/oauth2",
            eventsub_url=url.replace("http://", "ws://") + "/ws",
        )
        self._hubs: list[EventSubHub] = []

    def account(self, login: str, *, connected: bool = True) -> Account:
        """Let a channel be known."""
        number = str(1000 + len(self.double.accounts))
        token = f"token-{login}" if connected else ""
        return self.double.add(Account(user_id=number, login=login, token=token))

    def hub(self, **changes: float) -> EventSubHub:
        """Return a hub that is closed at the test's end."""
        hub = EventSubHub(
            self.settings,
            self.tokens,
            eventsub=replace(EventSubSettings(keepalive_slack_s=0.0), **changes),  # type: ignore[arg-type]
            meter=self.meter,
            timer=self.timer,
        )
        self._hubs.append(hub)
        return hub

    async def room(self, login: str, feeder: Feeder) -> Room:
        """Return a room that a feeder fills, opened now."""
        room = Room(login, feeder, clock=self.timer.now)
        await room.open(self.timer.now())
        return room

    async def say(self, login: str, *texts: str) -> None:
        """Say something, each under an id of its own that is made of it."""
        for text in texts:
            frame = self.double.chat(login, text, message_id=f"id of {text}")
            await self.double.say(login, frame)

    async def close(self) -> None:
        """Let everything go."""
        for hub in self._hubs:
            await hub.close()


@contextlib.asynccontextmanager
async def twitch(keepalive_s: float = 600.0) -> AsyncIterator[World]:
    """Serve the double; what its clients did wrong fails the test."""
    servers = Route.BASE, Route.ID_BASE
    timer = HandTimer(START_S)
    double = EventSubDouble(timer.now, keepalive_s=keepalive_s, users=True)
    async with serving(double) as url:
        world = World(double, timer, url)
        try:
            yield world
        finally:
            await world.close()
            Route.BASE, Route.ID_BASE = servers
    assert double.violations == []


async def until(holds: Callable[[], object]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(40):
        while not holds():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0)


async def passing(timer: HandTimer, holds: Callable[[], object]) -> None:
    """Let time pass, whenever somebody waits for it, until something is so."""
    async with asyncio.timeout(40):
        while not holds():
            if timer.sleepers:
                timer.advance(1.0)
            await asyncio.sleep(0)


def texts(batch: ChatBatch) -> list[str]:
    """Return what was said."""
    return [line.text for line in batch.lines]
