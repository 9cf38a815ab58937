"""One connection to the chat server, from its opening to its end.

Law: it knows nothing of rooms. Whatever it hears goes to its listener; a server that falls silent
is asked, and given up when it does not answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Literal, Protocol

import aiohttp

from ingest.chat.irc_connection import IrcConnection
from ingest.chat.irc_parse import IrcMessage, parse_message, said_of
from ingest.chat.irc_said import said_in
from ingest.chat.said import Said
from ingest.chat.settings import IrcSettings
from ingest.timer import Timer

End = Literal["closed", "error", "silent"]
"""Why a connection is over."""

Opener = Callable[[], AbstractAsyncContextManager[IrcConnection]]
"""Opens a connection to the server."""


class Listener(Protocol):
    """What a link tells of what it hears."""

    def link_ready(self, link: IrcLink) -> None:
        """The server has welcomed us: channels can be joined."""
        ...

    def link_said(self, channel: str, said: Said) -> None:
        """Somebody has said something in a channel."""
        ...

    def link_told(self, link: IrcLink, message: IrcMessage) -> None:
        """The server has told anything else, pings left out."""
        ...


class IrcLink:
    """A connection and the channels that it sits in."""

    def __init__(
        self, name: str, opener: Opener, settings: IrcSettings, timer: Timer, listener: Listener
    ) -> None:
        self.name = name
        self.channels: set[str] = set()
        """Channels that it is meant to sit in."""
        self.joined: set[str] = set()
        """Channels that the server has confirmed, and that it hears."""
        self.is_ready = False
        self.is_leaving = False
        """Whether the server has asked us to go; no channel is joined any more."""
        self.heard_s = timer.now()
        """When the server last said a word."""
        self.task: asyncio.Task[None] | None = None
        self._opener = opener
        self._settings = settings
        self._timer = timer
        self._listener = listener
        self._connection: IrcConnection | None = None

    async def run(self) -> End:
        """Connect and read until the connection ends; returns why it did."""
        try:
            return await self._run()
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError):
            return "error"
        finally:
            self.is_ready = False
            self._connection = None

    async def send(self, line: str) -> None:
        """Send one message; lost when the connection is going, whose end is told elsewhere."""
        if self._connection is not None:
            with suppress(OSError, aiohttp.ClientError, TimeoutError):
                await self._connection.send(line)

    async def _run(self) -> End:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                connection = await stack.enter_async_context(self._opener())
                await connection.send("CAP REQ :twitch.tv/tags twitch.tv/commands")
                await connection.send(f"NICK justinfan{random.randrange(10_000, 99_999)}")
            self._connection = connection
            self.heard_s = self._timer.now()
            reading = asyncio.create_task(self._read(connection))
            guarding = asyncio.create_task(self._guard())
            try:
                await asyncio.wait({reading, guarding}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    return "silent"
                await reading
                return "closed"
            finally:
                reading.cancel()
                guarding.cancel()
                await asyncio.gather(reading, guarding, return_exceptions=True)

    async def _read(self, connection: IrcConnection) -> None:
        while (lines := await connection.receive()) is not None:
            self.heard_s = self._timer.now()
            said = self._listener.link_said
            for line in lines:
                heard = said_in(line)
                if heard is not None:
                    said(*heard)
                else:
                    await self._take(connection, line)
            await asyncio.sleep(0)  # a flood in one connection starves nobody

    async def _take(self, connection: IrcConnection, line: str) -> None:
        message = parse_message(line)
        if message is None:
            return
        if message.command == "PING":
            await connection.send("PONG :" + (message.params[-1] if message.params else ""))
        elif message.command == "PRIVMSG":
            said = said_of(message)
            if said is not None:
                self._listener.link_said(message.params[0][1:], said)
        elif message.command == "001":
            self.is_ready = True
            self._listener.link_ready(self)
        else:
            self._listener.link_told(self, message)

    async def _guard(self) -> None:
        """Return when the server is silent and does not answer either."""
        settings = self._settings
        await self._timer.sleep(settings.connect_timeout_s)
        if not self.is_ready:
            return
        while True:
            quiet_s = self._timer.now() - self.heard_s
            if quiet_s < settings.silence_s:
                await self._timer.sleep(settings.silence_s - quiet_s)
                continue
            before_s = self.heard_s
            await self.send("PING :clipthat")
            await self._timer.sleep(settings.pong_s)
            if self.heard_s == before_s:
                return
