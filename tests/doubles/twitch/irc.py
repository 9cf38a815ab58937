"""Twitch's chat server: IRC over TCP, over a WebSocket, or in memory, on good and bad days.

It enforces what Twitch documents: 20 joins within ten seconds over all connections, fewer than 100
channels a connection. What a client does wrong is in `violations`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web

from ingest.chat.irc_connection import IrcConnection
from ingest.chat.irc_lines import Lines

HOST = "tmi.twitch.tv"
JOINS_MAX = 20
JOINS_WINDOW_S = 10.0
CHANNELS_MAX = 99


class Reader:
    """One connection as the server sees it; `None` in `out` ends it."""

    def __init__(self) -> None:
        self.out: asyncio.Queue[str | None] = asyncio.Queue()
        self.nick = ""
        self.caps = ""
        self.channels: set[str] = set()
        self.is_open = True


class TwitchIrc:
    """The server; faults are its fields and methods."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` tells Unix seconds; joins are counted by it."""
        self._clock = clock
        self._joins: deque[float] = deque()
        self.readers: list[Reader] = []
        self.violations: list[str] = []
        self.opened = 0
        self.pongs = 0
        self.suspended: set[str] = set()
        self.deaf: set[str] = set()
        """Channels whose joins are never answered."""
        self.is_down = False
        """Whether new connections are refused."""
        self.is_mute = False
        """Whether PING goes unanswered, as on a connection whose other end is gone."""
        self.happened = asyncio.Event()
        """Set whenever a client has said something; a test clears it."""

    # --- what happens in chat -------------------------------------------------------------------

    def seated(self, channel: str) -> list[Reader]:
        """Return who sits in a channel."""
        return [reader for reader in self.readers if channel in reader.channels]

    def say(self, channel: str, line: str, times: int = 1) -> None:
        """Send a raw line to everybody in a channel."""
        for reader in self.seated(channel):
            for _ in range(times):
                reader.out.put_nowait(line + "\r\n")

    def post(
        self,
        channel: str,
        message_id: str,
        sent_s: float,
        *,
        user: str = "ana",
        text: str = "",
        times: int = 1,
    ) -> None:
        """Have somebody write a line; one that names its id when no text is given."""
        tags = (
            f"badge-info=;badges=;color=#1E90FF;display-name={user};emotes=;first-msg=0;flags=;"
            f"id={message_id};mod=0;room-id=1;subscriber=0;tmi-sent-ts={round(sent_s * 1000)};"
            "turbo=0;user-id=2;user-type="
        )
        prefix = f":{user}!{user}@{user}.{HOST}"
        self.say(
            channel, f"@{tags} {prefix} PRIVMSG #{channel} :{text or f'text {message_id}'}", times
        )

    def piece(self, text: str) -> None:
        """Send a piece of text to everybody, whatever its end."""
        for reader in self.readers:
            reader.out.put_nowait(text)

    def drop(self, reader: Reader | None = None) -> None:
        """Cut a connection off, or all."""
        for each in [reader] if reader else list(self.readers):
            each.is_open = False
            each.out.put_nowait(None)
            if each in self.readers:
                self.readers.remove(each)

    def reconnect(self, reader: Reader) -> None:
        """Ask a client to come back on another connection."""
        reader.out.put_nowait(f":{HOST} RECONNECT\r\n")

    def ping(self) -> None:
        """Ask everybody whether they are there."""
        self.piece(f"PING :{HOST}\r\n")

    # --- what clients say ---------------------------------------------------------------------

    def enter(self) -> Reader:
        """Take a connection in.

        Raises:
            ConnectionRefusedError: the server is down.
        """
        if self.is_down:
            raise ConnectionRefusedError
        self.opened += 1
        reader = Reader()
        self.readers.append(reader)
        return reader

    def hear(self, reader: Reader, line: str) -> None:
        """Answer one message of a client."""
        command, _, rest = line.partition(" ")
        match command.upper():
            case "CAP":
                reader.caps = rest
                reader.out.put_nowait(f":{HOST} CAP * ACK {rest.partition(' ')[2]}\r\n")
            case "NICK":
                reader.nick = rest
                welcome = (("001", "Welcome, GLHF!"), ("002", "Your host"), ("376", ">"))
                for number, text in welcome:
                    reader.out.put_nowait(f":{HOST} {number} {rest} :{text}\r\n")
            case "PING" if not self.is_mute:
                reader.out.put_nowait(f":{HOST} PONG {HOST} {rest}\r\n")
            case "PONG":
                self.pongs += 1
            case "JOIN":
                for channel in rest.split(","):
                    self._join(reader, channel.removeprefix("#"))
            case "PART":
                reader.channels.discard(rest.removeprefix("#"))
            case _:
                pass
        self.happened.set()

    def _join(self, reader: Reader, channel: str) -> None:
        now_s = self._clock()
        while self._joins and self._joins[0] <= now_s - JOINS_WINDOW_S:
            self._joins.popleft()
        self._joins.append(now_s)
        if len(self._joins) > JOINS_MAX:
            self.violations.append(f"{len(self._joins)} joins within ten seconds")
            return
        if channel in self.suspended:
            text = "This channel does not exist or has been suspended."
            reader.out.put_nowait(
                f"@msg-id=msg_channel_suspended :{HOST} NOTICE #{channel} :{text}\r\n"
            )
            return
        if channel in self.deaf:
            return
        reader.channels.add(channel)
        if len(reader.channels) > CHANNELS_MAX:
            self.violations.append(f"{len(reader.channels)} channels in one connection")
        nick = reader.nick
        for line in (
            f":{nick}!{nick}@{nick}.{HOST} JOIN #{channel}",
            f":{nick}.{HOST} 353 {nick} = #{channel} :{nick}",
            f":{nick}.{HOST} 366 {nick} #{channel} :End of /NAMES list",
            f"@emote-only=0;followers-only=-1;r9k=0;room-id=1;slow=0;subs-only=0 "
            f":{HOST} ROOMSTATE #{channel}",
        ):
            reader.out.put_nowait(line + "\r\n")

    # --- how it is reached ----------------------------------------------------------------------

    @asynccontextmanager
    async def opener(self) -> AsyncIterator[IrcConnection]:
        """Be connected in memory."""
        reader = self.enter()
        try:
            yield _InMemory(self, reader)
        finally:
            self._left(reader)

    @asynccontextmanager
    async def over_tcp(self, host: str = "127.0.0.1") -> AsyncIterator[str]:
        """Serve on an address; yields the URL."""
        server = await asyncio.start_server(self._serve_tcp, host, 0)
        try:
            yield f"irc://{host}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            self.drop()
            await server.wait_closed()

    def attach(self, app: web.Application) -> None:
        """Serve IRC in WebSocket messages at `/`."""
        app.router.add_get("/", self._serve_websocket)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seat = self.enter()
        writing = asyncio.create_task(self._write_tcp(seat, writer))
        try:
            while line := await reader.readline():
                self.hear(seat, line.decode().strip())
        except ConnectionError:
            pass  # the client went away
        finally:
            self._left(seat)
            await writing

    async def _write_tcp(self, seat: Reader, writer: asyncio.StreamWriter) -> None:
        try:
            while (text := await seat.out.get()) is not None:
                writer.write(text.encode())
                await writer.drain()
        except ConnectionError:
            pass  # the client went away
        finally:
            writer.close()

    async def _serve_websocket(self, request: web.Request) -> web.StreamResponse:
        if self.is_down:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        seat = self.enter()
        writing = asyncio.create_task(self._write_websocket(seat, socket))
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                for line in message.data.splitlines():
                    self.hear(seat, line)
        self._left(seat)
        await writing
        return socket

    async def _write_websocket(self, seat: Reader, socket: web.WebSocketResponse) -> None:
        while (text := await seat.out.get()) is not None:
            if not socket.closed:
                await socket.send_str(text)
        await socket.close()

    def _left(self, reader: Reader) -> None:
        reader.channels.clear()
        if reader.is_open:
            self.drop(reader)


class _InMemory:
    def __init__(self, server: TwitchIrc, reader: Reader) -> None:
        self._server = server
        self._reader = reader
        self._lines = Lines(16_384)

    async def send(self, line: str) -> None:
        if not self._reader.is_open:
            raise ConnectionResetError
        self._server.hear(self._reader, line)

    async def receive(self) -> list[str] | None:
        text = await self._reader.out.get()
        return None if text is None else self._lines.feed(text)
