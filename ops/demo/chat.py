"""The demo's chat: an IRC server on loopback that speaks as Twitch does, and plays a script.

It serves plain TCP and any number of readers; each hears what is written after it has joined.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from ops.demo.script import Post

_LINE_BYTES_MAX = 4_096
_READERS_MAX = 50
_BADGES = {
    "viewer": "",
    "subscriber": "subscriber/12",
    "vip": "vip/1",
    "moderator": "moderator/1",
    "broadcaster": "broadcaster/1",
}
_EMOTE_IDS = {"LUL": "425618", "PogChamp": "305954156", "Kappa": "25", "KEKW": "1220086"}


class ChatServer:
    """An async context: an IRC server on a free port of 127.0.0.1."""

    def __init__(self, channel: str = "demo", clock: Callable[[], float] = time.time) -> None:
        """`clock` tells Unix seconds."""
        self._channel = channel
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._readers: dict[asyncio.StreamWriter, bool] = {}
        self._joined = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=_LINE_BYTES_MAX
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.drop_readers()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        """What a reader is given: `irc://127.0.0.1:port/#channel`."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"irc://127.0.0.1:{port}/#{self._channel}"

    async def wait_joined(self) -> None:
        """Wait until somebody has joined since the server began or dropped its readers."""
        await self._joined.wait()

    def drop_readers(self) -> None:
        """Cut all connections off, as a server does that goes away."""
        self._joined.clear()
        for writer in list(self._readers):
            writer.close()

    async def say(self, post: Post, message_id: str = "") -> None:
        """Have somebody write a line now."""
        await self.send(privmsg(self._channel, post, self._clock(), message_id or uuid.uuid4().hex))

    async def send(self, line: str) -> None:
        """Send a raw line to everybody who has joined."""
        for writer, joined in list(self._readers.items()):
            if joined:
                await _write(writer, line)

    async def play(
        self,
        posts: Sequence[Post],
        start_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Write a script's lines in real time.

        Args:
            posts: in the order of time.
            start_s: Unix time of the script's second zero.
            sleep: waits so many seconds; a test passes its own.
        """
        for post in posts:
            wait_s = start_s + post.at_s - self._clock()
            if wait_s > 0.0:
                await sleep(wait_s)
            await self.say(post)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._readers) >= _READERS_MAX:
            writer.close()
            return
        self._readers[writer] = False
        try:
            while line := await reader.readline():
                await self._answer(writer, line.decode("utf-8", "replace").strip())
        except (ConnectionError, ValueError):
            pass  # the reader went away, or sent a line that is too long
        finally:
            del self._readers[writer]
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, line: str) -> None:
        command, _, rest = line.partition(" ")
        host = "tmi.twitch.tv"
        match command.upper():
            case "CAP":
                await _write(writer, f":{host} CAP * ACK {rest.partition(' ')[2]}")
            case "NICK":
                await _write(writer, f":{host} 001 {rest} :Welcome, GLHF!")
            case "PING":
                await _write(writer, f":{host} PONG {host} {rest}")
            case "JOIN" if rest.casefold() == f"#{self._channel}":
                await _write(writer, f":reader!reader@reader.{host} JOIN {rest}")
                await _write(writer, f"@room-id=1;slow=0 :{host} ROOMSTATE {rest}")
                self._readers[writer] = True
                self._joined.set()
            case _:
                return


async def _write(writer: asyncio.StreamWriter, line: str) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write((line + "\r\n").encode())
        await writer.drain()


def privmsg(channel: str, post: Post, now_s: float, message_id: str) -> str:
    """Return the line by which Twitch's server tells what somebody wrote."""
    tags = ";".join(
        (
            f"badges={_BADGES[post.role]}",
            f"display-name={post.user}",
            f"emotes={_emote_tag(post.text)}",
            f"id={message_id}",
            f"mod={int(post.role == 'moderator')}",
            f"subscriber={int(post.role == 'subscriber')}",
            f"tmi-sent-ts={round(now_s * 1000)}",
        )
    )
    user = post.user
    return f"@{tags} :{user}!{user}@{user}.tmi.twitch.tv PRIVMSG #{channel} :{post.text}"


def _emote_tag(text: str) -> str:
    """Return where emotes stand in a text, as in `25:0-4,12-16/425618:6-8`."""
    spans: dict[str, list[str]] = {}
    at = 0
    for word in text.split(" "):
        if word in _EMOTE_IDS:
            spans.setdefault(_EMOTE_IDS[word], []).append(f"{at}-{at + len(word) - 1}")
        at += len(word) + 1
    return "/".join(f"{emote}:{','.join(places)}" for emote, places in spans.items())
