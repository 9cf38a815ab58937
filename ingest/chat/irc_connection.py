"""A connection to an IRC server, over TCP or a WebSocket, as whole lines of text."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp

from ingest.chat.irc_lines import Lines
from ingest.chat.irc_parse import IrcAddress

_CLOSE_S = 2.0
_SEND_S = 10.0
_PIECE_BYTES = 65_536
_MESSAGE_BYTES_MAX = 1_048_576


class IrcConnection(Protocol):
    """A connection that is open."""

    async def send(self, line: str) -> None:
        """Send one message, given without its end."""
        ...

    async def receive(self) -> list[str] | None:
        """Return whole lines without their ends, perhaps none; None when the server has closed."""
        ...


@asynccontextmanager
async def connect(address: IrcAddress, line_chars_max: int) -> AsyncGenerator[IrcConnection, None]:
    """Connect to a server; the caller sets the time limit.

    Raises:
        OSError, aiohttp.ClientError: the server cannot be reached.
    """
    if address.is_websocket:
        url = f"{address.scheme}://{address.host}:{address.port}/"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                url,
                max_msg_size=_MESSAGE_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
            ) as socket,
        ):
            yield _WebSocket(socket, Lines(line_chars_max))
        return
    reader, writer = await asyncio.open_connection(
        address.host, address.port, ssl=address.is_encrypted or None, limit=_PIECE_BYTES
    )
    try:
        yield _Tcp(reader, writer, Lines(line_chars_max))
    finally:
        writer.close()


class _WebSocket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse, lines: Lines) -> None:
        self._socket = socket
        self._lines = lines

    async def send(self, line: str) -> None:
        async with asyncio.timeout(_SEND_S):
            await self._socket.send_str(line + "\r\n")

    async def receive(self) -> list[str] | None:
        message = await self._socket.receive()
        if message.type != aiohttp.WSMsgType.TEXT:
            return None
        return self._lines.feed(message.data + "\n")


class _Tcp:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lines: Lines
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._lines = lines
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    async def send(self, line: str) -> None:
        self._writer.write((line + "\r\n").encode())
        async with asyncio.timeout(_SEND_S):
            await self._writer.drain()

    async def receive(self) -> list[str] | None:
        piece = await self._reader.read(_PIECE_BYTES)
        return self._lines.feed(self._decoder.decode(piece)) if piece else None
