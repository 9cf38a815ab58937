"""One connected user's event socket, kept up.

Law: a socket belongs to one user, as Twitch demands, and to one session at a time; while the
session moves both its sockets are read. A frame that is not understood costs itself.

Subscriptions are made through twitchio; the socket is aiohttp's own. twitchio 3.3.2's `Websocket`
does not read the old socket while it opens the new one of a `session_reconnect`, so that what comes
meanwhile is lost without a gap; its reader ends at the first frame without metadata; it notices a
lost keepalive after 15 to 25 seconds whatever the server has promised; and a subscription that
fails after a reconnect is logged and never tried again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict

import aiohttp

from bus.errors import Unavailable
from bus.ports import Meter
from ingest.timer import Timer
from ingest.twitch.eventsub_frames import Moved, Notified, Revoked, Unclear, Welcome, parse_frame
from ingest.twitch.eventsub_settings import EventSubSettings
from ingest.twitch.eventsub_subscriptions import AccessGone, Ear, SessionUnknown, Subscriptions
from store.twitch.tokens import Tokens, UserToken

_log = logging.getLogger(__name__)

_CLOSE_S = 2.0


class SocketLost(Exception):
    """The connection is over; the message says how."""


class UserSocket:
    """The event socket of one connected user."""

    def __init__(
        self,
        login: str,
        ear: Ear,
        subscriptions: Subscriptions,
        *,
        url: str,
        tokens: Tokens,
        settings: EventSubSettings,
        timer: Timer,
        meter: Meter,
    ) -> None:
        """Belong to `login`, and carry `subscriptions`; nothing happens before `run`."""
        self._login = login
        self._ear = ear
        self._subscriptions = subscriptions
        self._url = url
        self._tokens = tokens
        self._settings = settings
        self._timer = timer
        self._meter = meter
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._heard_s = 0.0

    async def run(self) -> None:
        """Keep the socket up until cancelled."""
        subscriptions = self._subscriptions
        wait_s = self._settings.backoff_first_s
        while True:
            subscriptions.now_is_known()
            try:
                token = await self._tokens.of(self._login)
            except Unavailable as away:
                self._note("not known whether connected", away)
                await subscriptions.rest(wait_s * random.uniform(0.8, 1.2))
                wait_s = min(wait_s * 2, self._settings.backoff_max_s)
                continue
            if token is None or not subscriptions.allowed(token):
                subscriptions.refuse_all("not connected" if token is None else "not allowed")
                await subscriptions.rest(self._settings.recheck_s)
                continue
            began_s = self._timer.now()
            await self._hold_session(token)
            if self._timer.now() - began_s >= self._settings.backoff_max_s:
                wait_s = self._settings.backoff_first_s
            await subscriptions.rest(wait_s * random.uniform(0.8, 1.2))
            wait_s = min(wait_s * 2, self._settings.backoff_max_s)

    async def _hold_session(self, token: UserToken) -> None:
        """Open a session and hold it until it ends."""
        gone: BaseExceptionGroup[AccessGone] | None = None
        try:
            async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
                socket, welcome = await self._dial(http, self._url)
                group.create_task(self._subscriptions.keep(token, welcome.session_id))
                await self._read(http, socket, welcome.keepalive_s, group)
        except* AccessGone as error:
            gone = error
        except* (SocketLost, SessionUnknown, aiohttp.ClientError, OSError, TimeoutError) as lost:
            self._meter.count("clipthat_eventsub_connections_lost_total")
            why = sorted({_why(each) for each in lost.exceptions})
            _log.warning("event socket lost", extra={"channel": self._login, "error": why})
        finally:
            self._subscriptions.lose_all(self._heard_s)
        if gone is not None:
            if any(isinstance(each, AccessGone) and each.is_told for each in gone.exceptions):
                try:
                    await self._tokens.revoked(token.user_id)
                except Unavailable as away:
                    # The next session's first subscription will be refused, which tells it too.
                    self._note("revocation not told", away)
            self._subscriptions.refuse_all("reconnect")

    def _note(self, what: str, error: Unavailable) -> None:
        _log.warning(what, extra={"channel": self._login, "error": str(error)})

    async def _dial(
        self, http: aiohttp.ClientSession, url: str
    ) -> tuple[aiohttp.ClientWebSocketResponse, Welcome]:
        """Connect and wait for the server's welcome."""
        async with asyncio.timeout(self._settings.connect_timeout_s):
            socket = await http.ws_connect(
                url,
                max_msg_size=self._settings.frame_bytes_max,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
            )
            try:
                while True:
                    frame = parse_frame(await self._receive(socket))
                    if isinstance(frame, Welcome):
                        return socket, frame
                    self._take(frame)
            except BaseException:
                await socket.close()
                raise

    async def _read(
        self,
        http: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        keepalive_s: float,
        group: asyncio.TaskGroup,
    ) -> None:
        """Hear, and follow the session where it moves; ends by an error only."""
        try:
            while True:
                url = await self._hear(socket, keepalive_s)
                rest = group.create_task(self._hear_rest(socket))
                socket, welcome = await self._dial(http, url)
                keepalive_s = welcome.keepalive_s
                self._meter.count("clipthat_eventsub_moves_total")
                group.create_task(self._let_go(rest))
        finally:
            await socket.close()

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse, keepalive_s: float) -> str:
        """Hear until the session moves; returns where to."""
        while True:
            try:
                async with asyncio.timeout(keepalive_s + self._settings.keepalive_slack_s):
                    text = await self._receive(socket)
            except TimeoutError:
                raise SocketLost("nothing came any more") from None
            frame = parse_frame(text)
            if isinstance(frame, Moved):
                return frame.url
            self._take(frame)

    async def _hear_rest(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Hear what a socket still says that the session leaves."""
        try:
            while True:
                self._take(parse_frame(await self._receive(socket)))
        except SocketLost:
            return
        finally:
            await socket.close()

    async def _let_go(self, rest: asyncio.Task[None]) -> None:
        await asyncio.wait({rest}, timeout=self._settings.overlap_s)
        rest.cancel()

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> str | bytes:
        """Return the next frame's text.

        Raises:
            SocketLost: the server has closed, or the connection is broken.
        """
        message = await socket.receive()
        if message.type is not aiohttp.WSMsgType.CLOSED:
            self._heard_s = self._timer.now()
        if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            data: str | bytes = message.data
            return data
        raise SocketLost(f"closed with {socket.close_code}")

    def _take(self, frame: object) -> None:
        match frame:
            case Notified():
                if self._is_new(frame.id):
                    self._ear.heard(self._login, frame)
                else:
                    self._meter.count("clipthat_eventsub_duplicates_total")
            case Revoked():
                self._subscriptions.revoke(frame, self._heard_s)
            case Unclear():
                self._meter.count("clipthat_eventsub_malformed_total")
                _log.warning(
                    "event not understood", extra={"channel": self._login, "why": frame.why}
                )

    def _is_new(self, delivery_id: str) -> bool:
        if not delivery_id:
            return True
        if delivery_id in self._seen:
            return False
        self._seen[delivery_id] = None
        if len(self._seen) > self._settings.seen_ids_max:
            self._seen.popitem(last=False)
        return True


def _why(error: BaseException) -> str:
    """Say what went wrong without an address, which may carry a session's secret."""
    if isinstance(error, SocketLost | SessionUnknown):
        return str(error)
    status = getattr(error, "status", "")
    return f"{type(error).__name__} {status}".strip()
