"""Chat and online hints of connected channels, over Twitch's event sockets: one hub a process.

Law: the hub is a `Feeder`; it tells rooms what it hears and when it hears nothing, and decides
nothing. A hint says only that something may have changed: the playlist is the truth.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from bus.ports import Meter
from ingest.chat.eventsub_said import said
from ingest.chat.room import Room
from ingest.timer import Timer, WallTimer
from ingest.twitch.eventsub_api import (
    CHAT,
    CHAT_DELETED,
    CHAT_USER_CLEARED,
    OFFLINE,
    ONLINE,
    ApiRefused,
    ApiUnreachable,
    EventSubApi,
    Want,
)
from ingest.twitch.eventsub_frames import Notified
from ingest.twitch.eventsub_settings import EventSubSettings
from ingest.twitch.eventsub_socket import UserSocket
from ingest.twitch.eventsub_subscriptions import Subscriptions
from store.twitch.settings import TwitchSettings
from store.twitch.tokens import Tokens

_log = logging.getLogger(__name__)

FEEDER = "eventsub"
"""What rooms know this feeder by."""

_CHAT_WANTS = (Want(CHAT, ""), Want(CHAT_DELETED, ""), Want(CHAT_USER_CLEARED, ""))
_OWN_HINTS = (Want(ONLINE, ""), Want(OFFLINE, ""))


@dataclass(eq=False, slots=True)
class Standing:
    """How it stands with one channel's chat here."""

    is_heard: bool = False
    refused: str = ""
    """Why Twitch does not allow it now: `not connected`, `not allowed`, `reconnect`, or what a
    revocation says; empty when it is heard, or may be soon."""
    watchers: set[asyncio.Event] = field(default_factory=set)
    """Set when any of this changes."""

    def tell(self) -> None:
        """Wake those who watch."""
        for watcher in self.watchers:
            watcher.set()


@dataclass(slots=True)
class _Line:
    """One user's socket, and the task that keeps it up."""

    subscriptions: Subscriptions
    task: asyncio.Task[None]


class EventSubHub:
    """Every connected channel's event socket."""

    def __init__(
        self,
        settings: TwitchSettings,
        tokens: Tokens,
        *,
        eventsub: EventSubSettings | None = None,
        meter: Meter,
        timer: Timer | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            settings: where Twitch's servers are, and which app this is.
            tokens: who is connected.
            eventsub: limits and waits.
            meter: counts.
            timer: tells the time and waits.
        """
        self._settings = settings
        self._tokens = tokens
        self._eventsub = eventsub or EventSubSettings()
        self._meter = meter
        self._timer = timer or WallTimer()
        self._api = EventSubApi(settings)
        self._lines: dict[str, _Line] = {}
        self._rooms: dict[str, set[Room]] = {}
        self._standings: dict[str, Standing] = {}
        self._hints: dict[str, asyncio.Event] = {}
        self._carriers: dict[str, str] = {}
        self._others: dict[str, str] = {}

    # --- chat: a Feeder -----------------------------------------------------------------------

    async def attach(self, channel: str, room: Room) -> None:
        """Tell `room` what is said in `channel`, once its streamer has connected it."""
        self._rooms.setdefault(channel, set()).add(room)
        if self.standing(channel).is_heard:
            room.joined(FEEDER)
        for want in _CHAT_WANTS:
            self._line(channel).want(want)

    async def detach(self, channel: str, room: Room) -> None:
        """Tell `room` nothing more."""
        rooms = self._rooms.get(channel, set())
        rooms.discard(room)
        room.cut(FEEDER)
        if not rooms and self._rooms.pop(channel, None) is not None and channel in self._lines:
            for want in _CHAT_WANTS:
                self._lines[channel].subscriptions.unwant(want)
            await self._end_if_idle(channel)

    def standing(self, channel: str) -> Standing:
        """Return how it stands with a channel's chat; the same object each time."""
        return self._standings.setdefault(channel, Standing())

    def look_again(self, channel: str) -> None:
        """Look at once whether a channel is connected: somebody says that this has changed."""
        line = self._lines.get(channel)
        if line is not None:
            line.subscriptions.look_again()

    # --- hints --------------------------------------------------------------------------------

    async def changed(self, login: str, timeout_s: float) -> None:
        """Wait until Twitch says that a channel went online or offline, `timeout_s` at most.

        What it says between two calls makes the next one return at once. A channel that has not
        connected is heard of on another's socket, as far as Twitch's cost limit allows; where it
        does not, this only waits.
        """
        hint = self._hints.setdefault(login, asyncio.Event())
        listening = asyncio.create_task(self._listen_for(login))
        waits = {asyncio.create_task(hint.wait()), asyncio.create_task(self._sleep(timeout_s))}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, *waits):
                task.cancel()
            await asyncio.gather(listening, *waits, return_exceptions=True)
        hint.clear()
        if not listening.cancelled():
            listening.result()

    async def forget(self, login: str) -> None:
        """Hear of a channel's coming and going no more."""
        self._hints.pop(login, None)
        await self._unlisten(login)

    async def close(self) -> None:
        """End every socket."""
        tasks = [line.task for line in self._lines.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lines.clear()
        await self._api.close()

    # --- what sockets tell --------------------------------------------------------------------

    def heard(self, login: str, event: Notified) -> None:
        """Take an event that came on `login`'s socket."""
        if event.type in {ONLINE, OFFLINE}:
            hint = self._hints.get(self._channel_of(login, event.broadcaster_id))
            if hint is not None:
                hint.set()
            return
        rooms = self._rooms.get(login, ())
        if event.type == CHAT:
            one = said(event.event, event.sent_s)
            if one is None:
                self._meter.count("clipthat_eventsub_malformed_total")
                _log.warning("chat message not understood", extra={"channel": login})
                return
            for room in rooms:
                room.hear(one)
        elif event.type == CHAT_DELETED:
            for room in rooms:
                room.remove_message(str(event.event.get("message_id", "")))
        elif event.type == CHAT_USER_CLEARED:
            for room in rooms:
                room.remove_user(str(event.event.get("target_user_login", "")))

    def joined(self, login: str, want: Want) -> None:
        """Take note that what is wanted comes from now on."""
        if want.type != CHAT:
            return
        standing = self.standing(login)
        standing.is_heard, standing.refused = True, ""
        for room in self._rooms.get(login, ()):
            room.joined(FEEDER)
        standing.tell()

    def cut(self, login: str, want: Want, heard_s: float) -> None:
        """Take note that it comes no more; the socket surely still heard at `heard_s`."""
        if want.type != CHAT:
            return
        standing = self.standing(login)
        standing.is_heard = False
        for room in self._rooms.get(login, ()):
            room.cut(FEEDER, heard_s)
        standing.tell()

    def refused(self, login: str, want: Want, why: str) -> None:
        """Take note that Twitch does not allow it now."""
        if want.type == CHAT:
            standing = self.standing(login)
            standing.refused = why
            standing.tell()

    # --- within -------------------------------------------------------------------------------

    def _line(self, login: str) -> Subscriptions:
        """Return what is wanted on a user's socket; the socket is kept up from now on."""
        line = self._lines.get(login)
        if line is not None:
            return line.subscriptions
        subscriptions = Subscriptions(
            login,
            self,
            api=self._api,
            tokens=self._tokens,
            settings=self._eventsub,
            timer=self._timer,
            meter=self._meter,
        )
        self._lines[login] = _Line(subscriptions, self._keep_up(login, subscriptions))
        return subscriptions

    def _keep_up(
        self, login: str, subscriptions: Subscriptions, wait_s: float = 0.0
    ) -> asyncio.Task[None]:
        """Keep a user's socket up, beginning in `wait_s`."""
        socket = UserSocket(
            login,
            self,
            subscriptions,
            url=self._settings.eventsub_url,
            tokens=self._tokens,
            settings=self._eventsub,
            timer=self._timer,
            meter=self._meter,
        )

        async def keep_up() -> None:
            if wait_s:
                await self._timer.sleep(wait_s)
            await socket.run()

        task = asyncio.create_task(keep_up(), name=f"event socket of {login}")
        task.add_done_callback(lambda ended: self._note_end(login, ended))
        return task

    def _note_end(self, login: str, task: asyncio.Task[None]) -> None:
        """Begin anew, after a while, when a socket's task breaks: others take over until then.

        It breaks with what it stands on, such as the database in which tokens lie.
        """
        error = None if task.cancelled() else task.exception()
        line = self._lines.get(login)
        if error is None or line is None or line.task is not task:
            return
        _log.error("event socket broke", extra={"channel": login}, exc_info=error)
        self._meter.count("clipthat_eventsub_connections_lost_total")
        line.task = self._keep_up(login, line.subscriptions, self._eventsub.recheck_s)

    async def _end_if_idle(self, login: str) -> None:
        line = self._lines.get(login)
        if line is None or line.subscriptions.wants:
            return
        del self._lines[login]
        line.task.cancel()
        await asyncio.gather(line.task, return_exceptions=True)
        if login not in self._lines:
            self._standings.pop(login, None)
            self._api.forget(line.subscriptions.user_id)

    async def _listen_for(self, login: str) -> None:
        """Have a channel's coming and going told by its own socket, or else by another's."""
        token = await self._tokens.of(login)
        carrier = self._carriers.get(login)
        if token is not None and carrier != login:
            await self._unlisten(login)
            self._carriers[login] = login
            for want in _OWN_HINTS:
                self._line(login).want(want)
        elif token is None and (
            carrier in {None, login} or await self._tokens.of(carrier or "") is None
        ):
            await self._unlisten(login)
            await self._borrow(login)

    async def _borrow(self, login: str) -> None:
        """Have another user's socket tell of a channel, within Twitch's limits."""
        for carrier, line in tuple(self._lines.items()):
            token = await self._tokens.of(carrier)
            if token is None:
                continue
            try:
                user_id = self._others.get(login) or await self._api.user_id(token, login)
            except (ApiRefused, ApiUnreachable) as error:
                _log.info("no online hints", extra={"channel": login, "error": str(error)})
                return
            if user_id is None:
                return
            self._others[login] = user_id
            wants = (Want(ONLINE, user_id, 1), Want(OFFLINE, user_id, 1))
            if line.subscriptions.fit(*wants):
                self._carriers[login] = carrier
                for want in wants:
                    line.subscriptions.want(want)
                return

    async def _unlisten(self, login: str) -> None:
        carrier = self._carriers.pop(login, None)
        line = self._lines.get(carrier or "")
        if carrier is None or line is None:
            return
        user_id = self._others.get(login, "")
        others = (Want(ONLINE, user_id, 1), Want(OFFLINE, user_id, 1))
        for want in _OWN_HINTS if carrier == login else others:
            line.subscriptions.unwant(want)
        await self._end_if_idle(carrier)

    def _channel_of(self, login: str, broadcaster_id: str) -> str:
        """Return whose coming and going an event on `login`'s socket tells."""
        if broadcaster_id == self._lines[login].subscriptions.user_id:
            return login
        return next(
            (name for name, user_id in self._others.items() if user_id == broadcaster_id), ""
        )

    async def _sleep(self, seconds: float) -> bool:
        await self._timer.sleep(seconds)
        return True
