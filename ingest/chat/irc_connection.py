"""A connection to an IRC server, over TCP or a WebSocket, as whole lines of text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp

from ingest.chat.irc_parse import IrcAddress

_CLOSE_S = 2.0
_SEND_S = 10.0


class IrcConnection(Protocol):
    """A connection that is open."""

    async def send(self, line: str) -> None:
        """Send one message, given without its end."""
        ...

    async def receive(self) -> str | None:
        """Return one or more whole lines; None when the server has closed."""
        ...


@asynccontextmanager
async def connect(address: IrcAddress, line_bytes_max: int) -> AsyncGenerator[IrcConnection, None]:
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
                max_msg_size=line_bytes_max,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
            ) as socket,
        ):
            yield _WebSocket(socket)
        return
    reader, writer = await asyncio.open_connection(
        address.host, address.port, ssl=address.is_encrypted or None, limit=line_bytes_max
    )
    try:
        yield _Tcp(reader, writer)
    finally:
        writer.close()


class _WebSocket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, line: str) -> None:
        async with asyncio.timeout(_SEND_S):
            await self._socket.send_str(line + "\r\n")

    async def receive(self) -> str | None:
        message = await self._socket.receive()
        return message.data if message.type == aiohttp.WSMsgType.TEXT else None


class _Tcp:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, line: str) -> None:
        self._writer.write((line + "\r\n").encode())
        async with asyncio.timeout(_SEND_S):
            await self._writer.drain()

    async def receive(self) -> str | None:
        line = await self._reader.readline()
        return line.decode("utf-8", "replace") if line else None
