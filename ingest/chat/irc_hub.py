"""Hundreds of channels' chat over a few anonymous connections.

Law: a channel that cannot be joined, or a connection that is lost, costs only those who sit there;
joins keep Twitch's limit over the whole process; a room is told at once when it is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field

from bus.ports import Meter, SilentMeter
from ingest.chat.irc_connection import connect
from ingest.chat.irc_joins import JoinBudget
from ingest.chat.irc_link import End, IrcLink, Opener
from ingest.chat.irc_parse import IrcMessage, parse_address
from ingest.chat.room import Room
from ingest.chat.said import Said
from ingest.chat.settings import IrcSettings, RoomSettings
from ingest.timer import Timer, WallTimer

_log = logging.getLogger(__name__)

_REFUSALS = frozenset({"msg_channel_suspended", "msg_banned", "tos_ban", "msg_channel_blocked"})
_ANY = "any"


@dataclass(slots=True, eq=False)
class _Seat:
    """One channel: who listens there, and how far the joining has come."""

    channel: str
    rooms: list[Room] = field(default_factory=list)
    link: IrcLink | None = None
    """The connection that is to sit there; an older one may still hear the channel as well."""
    due_s: float = 0.0
    """When it is to be joined, or joined again when that has not been confirmed by then."""
    tries: int = 0

    @property
    def is_seated(self) -> bool:
        return self.link is not None and self.channel in self.link.joined


class IrcHub:
    """A `Feeder` of rooms; connections are opened as channels come and closed as they go."""

    def __init__(
        self,
        settings: IrcSettings | None = None,
        *,
        url: str = "",
        meter: Meter | None = None,
        timer: Timer | None = None,
        opener: Opener | None = None,
        budget: JoinBudget | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            settings: limits and waits.
            url: the server; `settings.url` when empty.
            meter: counts.
            timer: tells the time and waits.
            opener: opens a connection; a test passes its own.
            budget: joins of the process, when several hubs share it.

        Raises:
            ChatAddressError: the server's URL is none.
        """
        self._settings = settings or IrcSettings()
        address = parse_address(f"{(url or self._settings.url).rstrip('/')}/#{_ANY}", "")
        self._opener = opener or (lambda: connect(address, self._settings.line_chars_max))
        self._meter = meter or SilentMeter()
        self._timer = timer or WallTimer()
        self._budget = budget or JoinBudget(self._settings.joins_max, self._settings.joins_window_s)
        self._seats: dict[str, _Seat] = {}
        self._links: list[IrcLink] = []
        self._links_made = 0
        self._failures = 0
        self._changed = asyncio.Event()
        self._joining: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Connections that are open or being opened."""
        return len(self._links)

    # --- what rooms ask -----------------------------------------------------------------------

    async def attach(self, channel: str, room: Room) -> None:
        """Sit in `channel` for `room`; returns at once, and the room is told when it is so."""
        seat = self._seats.get(channel)
        if seat is None:
            seat = self._seats[channel] = _Seat(channel, due_s=self._timer.now())
        if room not in seat.rooms:
            seat.rooms.append(room)
        for link in self._links:
            if channel in link.joined:
                room.joined(link.name)
        if self._joining is None:
            self._joining = asyncio.create_task(self._keep_joining(), name="irc joins")
        self._changed.set()

    async def detach(self, channel: str, room: Room) -> None:
        """Leave `channel` when no other room wants it."""
        seat = self._seats.get(channel)
        if seat is None or room not in seat.rooms:
            return
        seat.rooms.remove(room)
        for link in self._links:
            room.cut(link.name)
        if seat.rooms:
            return
        del self._seats[channel]
        for link in list(self._links):
            if channel in link.channels:
                link.channels.discard(channel)
                link.joined.discard(channel)
                await link.send(f"PART #{channel}")
            if not link.channels:
                await self._stop(link)
        if not self._seats:
            await self._rest()

    async def _rest(self) -> None:
        """Stop joining; who is attached meanwhile begins it anew."""
        joining, self._joining = self._joining, None
        if joining is not None:
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)

    async def close(self) -> None:
        """Leave everything; rooms that are still attached are cut off."""
        await self._rest()
        for link in list(self._links):
            await self._stop(link)
        self._seats.clear()

    # --- what links tell ----------------------------------------------------------------------

    def link_ready(self, link: IrcLink) -> None:
        """Join through this connection from now on."""
        self._changed.set()

    def link_said(self, channel: str, said: Said) -> None:
        """Hand a message to the rooms of its channel."""
        seat = self._seats.get(channel)
        if seat is not None:
            for room in seat.rooms:
                room.hear(said)

    def link_told(self, link: IrcLink, message: IrcMessage) -> None:
        """Take in what the server tells of channels and of itself."""
        if message.command == "RECONNECT":
            self._leave(link)
        seat = self._seats.get(message.channel)
        if seat is None:
            return
        match message.command:
            case "366" | "ROOMSTATE":
                self._confirm(link, seat)
            case "NOTICE" if message.tags.get("msg-id") in _REFUSALS:
                self._refuse(link, seat, message.tags["msg-id"])
            case "CLEARMSG":
                for room in seat.rooms:
                    room.remove_message(message.tags.get("target-msg-id", ""))
            case "CLEARCHAT" if len(message.params) > 1:
                for room in seat.rooms:
                    room.remove_user(message.params[-1])
            case _:
                pass

    def _confirm(self, link: IrcLink, seat: _Seat) -> None:
        if seat.channel not in link.channels or seat.channel in link.joined:
            return
        link.joined.add(seat.channel)
        seat.tries = 0
        self._meter.count("clipthat_chat_joins_total", outcome="joined")
        for room in seat.rooms:
            room.joined(link.name)
        for older in self._links:
            if older is not link and older.is_leaving and seat.channel in older.channels:
                self._forsake(older, seat)
        self._changed.set()

    def _forsake(self, link: IrcLink, seat: _Seat) -> None:
        """Let a connection that is leaving go of a channel that another one hears."""
        link.channels.discard(seat.channel)
        link.joined.discard(seat.channel)
        for room in seat.rooms:
            room.cut(link.name)
        if not link.channels and link.task is not None:
            link.task.cancel()

    def _refuse(self, link: IrcLink, seat: _Seat, why: str) -> None:
        if seat.link is not link:
            return
        _log.warning("channel cannot be joined", extra={"channel": seat.channel, "reason": why})
        self._meter.count("clipthat_chat_joins_total", outcome="refused")
        if seat.channel in link.joined:
            link.joined.discard(seat.channel)
            for room in seat.rooms:
                room.cut(link.name)
        seat.due_s = self._timer.now() + self._settings.join_retry_max_s
        self._changed.set()

    def _leave(self, link: IrcLink) -> None:
        """Move a connection's channels elsewhere; it goes on hearing them until that is done."""
        self._meter.count("clipthat_chat_reconnects_total", reason="asked")
        link.is_leaving = True
        self._unseat(link)

    def _unseat(self, link: IrcLink) -> None:
        for channel in link.channels:
            seat = self._seats.get(channel)
            if seat is not None and seat.link is link:
                seat.link = None
                seat.tries = 0
                seat.due_s = self._timer.now()
        self._changed.set()

    # --- links --------------------------------------------------------------------------------

    async def _live(self, link: IrcLink, wait_s: float) -> None:
        """A connection's whole life."""
        end: End = "closed"
        try:
            if wait_s > 0.0:
                await self._timer.sleep(wait_s)
            began_s = self._timer.now()
            end = await link.run()
            if not link.is_leaving:
                # A welcome alone proves nothing: a server may welcome and drop us at once.
                lasted = self._timer.now() - began_s >= self._settings.backoff_max_s
                self._failures = 1 if lasted else self._failures + 1
                self._meter.count("clipthat_chat_reconnects_total", reason=end)
                _log.warning("chat connection lost", extra={"link": link.name, "reason": end})
        finally:
            self._links.remove(link)
            heard_s = None if end == "closed" else link.heard_s
            for channel in link.joined:
                seat = self._seats.get(channel)
                for room in seat.rooms if seat else ():
                    room.cut(link.name, heard_s)
            link.joined.clear()
            self._unseat(link)
            self._meter.gauge("clipthat_chat_connections", len(self._links))

    async def _stop(self, link: IrcLink) -> None:
        if link.task is not None and link in self._links:
            link.task.cancel()
            await asyncio.gather(link.task, return_exceptions=True)
            if link in self._links:  # it was stopped before it began
                self._links.remove(link)

    def _open(self) -> IrcLink:
        self._links_made += 1
        link = IrcLink(f"irc-{self._links_made}", self._opener, self._settings, self._timer, self)
        settings = self._settings
        wait_s = 0.0
        if self._failures:
            doubled_s = settings.backoff_first_s * 2.0 ** min(self._failures - 1, 16)
            wait_s = min(doubled_s, settings.backoff_max_s) * random.uniform(0.8, 1.2)
        self._links.append(link)
        self._meter.gauge("clipthat_chat_connections", len(self._links))
        link.task = asyncio.create_task(self._live(link, wait_s), name=link.name)
        return link

    def _link_for(self, seat: _Seat) -> IrcLink:
        """Return the connection that is to sit in a channel; a new one when all are full."""
        if seat.link is None:
            room_for_one = (
                link
                for link in self._links
                if not link.is_leaving
                and len(link.channels) < self._settings.channels_per_connection
            )
            seat.link = next(room_for_one, None) or self._open()
            seat.link.channels.add(seat.channel)
        return seat.link

    # --- joins --------------------------------------------------------------------------------

    async def _keep_joining(self) -> None:
        """Join what is due, at the pace that Twitch allows; waits for a change in between."""
        while True:
            self._changed.clear()
            now_s = self._timer.now()
            wait_s = self._budget.wait_s(now_s)
            if wait_s <= 0.0:
                seat = self._next_due(now_s)
                if seat is not None and seat.link is not None:
                    self._budget.spend(now_s)
                    self._note_try(seat, now_s)
                    await seat.link.send(f"JOIN #{seat.channel}")
                    continue
                dues = [each.due_s for each in self._seats.values() if not each.is_seated]
                wait_s = min((due for due in dues if due > now_s), default=now_s + 60.0) - now_s
            await self._wait(wait_s)

    def _next_due(self, now_s: float) -> _Seat | None:
        """Return a channel to join now, through its `link`."""
        for seat in self._seats.values():
            if not seat.is_seated and seat.due_s <= now_s and self._link_for(seat).is_ready:
                return seat
        return None

    def _note_try(self, seat: _Seat, now_s: float) -> None:
        settings = self._settings
        seat.tries += 1
        answer_s = settings.join_answer_s * 2.0 ** min(seat.tries - 1, 16)
        seat.due_s = now_s + min(answer_s, settings.join_retry_max_s)
        if seat.tries == settings.join_tries + 1:
            _log.warning("channel does not confirm the join", extra={"channel": seat.channel})
            self._meter.count("clipthat_chat_joins_total", outcome="unanswered")

    async def _wait(self, wait_s: float) -> None:
        waiting = asyncio.create_task(self._timer.sleep(wait_s))
        changing = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({waiting, changing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            changing.cancel()


class IrcHubs:
    """One hub for each chat server, made when it is first wanted; they share the joins' limit."""

    def __init__(
        self,
        settings: IrcSettings | None = None,
        *,
        meter: Meter | None = None,
        timer: Timer | None = None,
    ) -> None:
        self._settings = settings or IrcSettings()
        self._meter = meter
        self._timer = timer or WallTimer()
        self._budget = JoinBudget(self._settings.joins_max, self._settings.joins_window_s)
        self._hubs: dict[str, IrcHub] = {}

    def hub(self, url: str = "") -> IrcHub:
        """Return the hub of a server, of `settings.url` when empty."""
        url = url or self._settings.url
        if url not in self._hubs:
            self._hubs[url] = IrcHub(
                self._settings,
                url=url,
                meter=self._meter,
                timer=self._timer,
                budget=self._budget,
            )
        return self._hubs[url]

    def room(self, address: str, settings: RoomSettings | None = None) -> Room:
        """Return a room for `#name`, `name` or `irc://host:port/#name` (`ircs`, `ws`, `wss`).

        Raises:
            ChatAddressError: it is none of these.
        """
        parsed = parse_address(address, self._settings.url)
        hub = self.hub(f"{parsed.scheme}://{parsed.host}:{parsed.port}")
        return Room(parsed.channel, hub, settings, clock=self._timer.now)

    async def close(self) -> None:
        """Leave everything."""
        for hub in self._hubs.values():
            await hub.close()
