"""Live chat over IRC, anonymously: a connection that is kept up, and a bounded buffer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable

import aiohttp

from ingest.chat.irc_connection import IrcConnection, connect
from ingest.chat.irc_parse import chat_line, parse_address, parse_message
from ingest.chat.line import ChatLine
from ingest.chat.settings import IrcSettings
from ingest.chat.source import ChatBatch

_log = logging.getLogger(__name__)


class IrcChat:
    """A `ChatSource` that sits in a channel's chat and reads along."""

    def __init__(
        self,
        address: str,
        settings: IrcSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read the chat at `address`.

        Args:
            address: a channel's name, or `irc://host:port/#name` (`ircs`, `ws`, `wss` likewise).
            settings: limits and waits.
            clock: Unix time; a test passes its own.

        Raises:
            ChatAddressError: the address is none.
        """
        self._settings = settings or IrcSettings()
        self._address = parse_address(address, self._settings.url)
        self._clock = clock
        self._wall_start_s = 0.0
        self._lines: deque[ChatLine] = deque()
        self._seen = _Seen(self._settings.seen_ids_max)
        self._dropped = 0
        self._gaps: set[int] = set()
        self._down_since_s: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self.joined = asyncio.Event()
        """Set while the channel is joined."""

    @property
    def end_s(self) -> float | None:
        """None: live chat has no end."""
        return None

    async def open(self, wall_start_s: float | None) -> None:
        """Start to connect and return at once; see `ChatSource.open`.

        Without `wall_start_s` media zero is now.
        """
        self._wall_start_s = self._clock() if wall_start_s is None else wall_start_s
        self._down_since_s = self._clock()
        self._reading = asyncio.create_task(self._keep_reading(), name="irc chat")

    async def drain(self, until_s: float) -> ChatBatch:
        """Return the lines sent before `until_s`; see `ChatSource.drain`."""
        if self._down_since_s is not None:
            until_wall_s = self._wall_start_s + until_s
            self._note_gap(self._down_since_s, until_wall_s)
            self._down_since_s = max(self._down_since_s, until_wall_s)
        ready = sorted(
            (line for line in self._lines if line.t_s < until_s), key=lambda line: line.t_s
        )
        self._lines = deque(line for line in self._lines if line.t_s >= until_s)
        gaps = frozenset(second for second in self._gaps if second < until_s)
        self._gaps -= gaps
        dropped, self._dropped = self._dropped, 0
        return ChatBatch(tuple(ready), self.joined.is_set(), gaps, dropped)

    async def close(self) -> None:
        """Leave the chat."""
        if self._reading is None:
            return
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        self._reading = None

    async def _keep_reading(self) -> None:
        wait_s = self._settings.backoff_first_s
        while True:
            try:
                await self._read_once()
            except (OSError, aiohttp.ClientError, TimeoutError, ValueError) as error:
                _log.warning(
                    "chat connection lost",
                    extra={"channel": self._address.channel, "error": repr(error)},
                )
            if self.joined.is_set():
                self._down_since_s = self._clock()
                self.joined.clear()
                wait_s = self._settings.backoff_first_s
            await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))
            wait_s = min(wait_s * 2, self._settings.backoff_max_s)

    async def _read_once(self) -> None:
        """Connect, join and read until the connection ends."""
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                connection = await stack.enter_async_context(
                    connect(self._address, self._settings.line_bytes_max)
                )
                nick = f"justinfan{random.randrange(10_000, 99_999)}"
                await connection.send("CAP REQ :twitch.tv/tags twitch.tv/commands")
                await connection.send(f"NICK {nick}")
                await connection.send(f"JOIN #{self._address.channel}")
                while not self.joined.is_set():
                    if not await self._hear(connection):
                        return
            while True:
                async with asyncio.timeout(self._settings.silence_s):
                    if not await self._hear(connection):
                        return

    async def _hear(self, connection: IrcConnection) -> bool:
        """Take one piece of text from the server in; return False when the connection is over."""
        text = await connection.receive()
        if text is None:
            return False
        for raw in text.split("\n"):
            message = parse_message(raw)
            if message is None:
                continue
            if message.command == "PING":
                await connection.send("PONG :" + (message.params[-1] if message.params else ""))
            elif message.command == "RECONNECT":
                return False
            elif message.command in {"JOIN", "ROOMSTATE", "366"}:
                self._note_joined()
            else:
                line = chat_line(message, self._wall_start_s, self._clock())
                if line is not None and self._seen.is_new(line.message_id):
                    self._keep(line)
        return True

    def _note_joined(self) -> None:
        if self._down_since_s is not None:
            self._note_gap(self._down_since_s, self._clock())
            self._down_since_s = None
        self.joined.set()

    def _note_gap(self, from_wall_s: float, until_wall_s: float) -> None:
        """Remember the media seconds between two wall times, no more than a buffer's worth."""
        first = max(math.floor(from_wall_s - self._wall_start_s), 0)
        until = math.ceil(until_wall_s - self._wall_start_s)
        first = max(first, until - self._settings.buffer_lines_max)
        self._gaps.update(range(first, until))

    def _keep(self, line: ChatLine) -> None:
        if len(self._lines) >= self._settings.buffer_lines_max:
            self._lines.popleft()
            self._dropped += 1
        self._lines.append(line)


class _Seen:
    """The latest message ids: the server may send a message twice."""

    def __init__(self, ids_max: int) -> None:
        self._ids_max = ids_max
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, message_id: str) -> bool:
        """Return whether the id has not been seen lately, and remember it; no id is always new."""
        if not message_id:
            return True
        if message_id in self._ids:
            return False
        self._ids[message_id] = None
        if len(self._ids) > self._ids_max:
            self._ids.popitem(last=False)
        return True
