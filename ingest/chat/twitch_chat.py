"""A Twitch channel's live chat: heard as a connected channel where it is one, else anonymously.

Law: one room, filled by whoever hears. The anonymous reader sits in the channel whenever the event
socket does not hear it, and leaves only once the socket does; both tell the same message ids, so
that what both have heard counts once, and a gap is only where neither was joined.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from bus.ports import Meter
from ingest.chat.eventsub import EventSubHub, Standing
from ingest.chat.room import Feeder, Room
from ingest.chat.settings import RoomSettings
from ingest.chat.source import ChatBatch, ChatNotice
from ingest.timer import Timer, WallTimer

RECONNECT = ChatNotice(
    "reconnect_twitch",
    "Twitch no longer allows ClipThat to read this chat as the channel; it is read anonymously. "
    "Reconnect Twitch on the channel's page.",
)

_OVERLAP_S = 2.0
"""Both read for so long, for what was said before the socket heard and is still on its way."""


class TwitchChat:
    """A `ChatSource` of one channel that chooses its reader."""

    def __init__(
        self,
        login: str,
        *,
        irc: Feeder,
        eventsub: EventSubHub,
        room: RoomSettings | None = None,
        patience_s: float = 5.0,
        timer: Timer | None = None,
        meter: Meter,
    ) -> None:
        """Belong to the channel `login` (lower case); nothing is read before `open`.

        Args:
            login: whose chat it is.
            irc: reads anonymously.
            eventsub: reads as the channel, once its streamer has connected it.
            room: limits.
            patience_s: a connected channel that is not heard for so long is read anonymously.
            timer: tells the time and waits.
            meter: counts.
        """
        self._login = login
        self._irc = irc
        self._eventsub = eventsub
        self._patience_s = patience_s
        self._timer = timer or WallTimer()
        self._meter = meter
        self._room = Room(login, self, room, clock=self._timer.now)
        self._choosing: asyncio.Task[None] | None = None
        self._is_anonymous = False
        self._notices: list[ChatNotice] = []

    @property
    def end_s(self) -> float | None:
        """None: live chat has no end."""
        return None

    @property
    def is_joined(self) -> bool:
        """Whether somebody hears the channel now."""
        return self._room.is_joined

    @property
    def is_anonymous(self) -> bool:
        """Whether the channel is read anonymously now."""
        return self._is_anonymous

    async def open(self, wall_start_s: float | None) -> None:
        """Begin to read; see `ChatSource.open`."""
        await self._room.open(wall_start_s)

    async def drain(self, until_s: float) -> ChatBatch:
        """Return what was said before `until_s`; see `ChatSource.drain`."""
        batch = await self._room.drain(until_s)
        notices, self._notices = tuple(self._notices), []
        return replace(batch, notices=notices) if notices else batch

    async def close(self) -> None:
        """Stop to read and let everything go."""
        await self._room.close()

    # --- the room's feeder: whoever is chosen --------------------------------------------------

    async def attach(self, channel: str, room: Room) -> None:
        """Begin to choose who reads `channel` for `room`."""
        self._choosing = asyncio.create_task(
            self._keep_choosing(channel, room), name=f"chat of {channel}"
        )

    async def detach(self, channel: str, room: Room) -> None:
        """End the reading."""
        if self._choosing is None:
            return
        self._choosing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._choosing
        self._choosing = None

    async def _keep_choosing(self, channel: str, room: Room) -> None:
        standing = self._eventsub.standing(channel)
        changed = asyncio.Event()
        standing.watchers.add(changed)
        was_heard = False
        try:
            await self._eventsub.attach(channel, room)
            while True:
                changed.clear()
                if not self._is_anonymous:
                    await self._wait_patiently(standing, changed)
                if standing.is_heard:
                    was_heard = True
                    if self._is_anonymous and await self._changes_within(_OVERLAP_S, changed):
                        continue
                    await self._stop_anonymously(channel, room)
                else:
                    if standing.refused and was_heard:
                        was_heard = False
                        self._notices.append(RECONNECT)
                    await self._read_anonymously(channel, room)
                await changed.wait()
        finally:
            standing.watchers.discard(changed)
            await self._stop_anonymously(channel, room)
            await self._eventsub.detach(channel, room)

    async def _wait_patiently(self, standing: Standing, changed: asyncio.Event) -> None:
        """Wait until it is known whether the socket hears the channel, `patience_s` at most."""
        until_s = self._timer.now() + self._patience_s
        while not (standing.is_heard or standing.refused):
            left_s = until_s - self._timer.now()
            if left_s <= 0 or not await self._changes_within(left_s, changed):
                return

    async def _changes_within(self, seconds: float, changed: asyncio.Event) -> bool:
        """Wait until something changes, so long at most; return whether it has."""
        waits = (
            asyncio.create_task(self._timer.sleep(seconds)),
            asyncio.create_task(_set(changed)),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        has_changed = changed.is_set()
        changed.clear()
        return has_changed

    async def _read_anonymously(self, channel: str, room: Room) -> None:
        if not self._is_anonymous:
            self._is_anonymous = True
            self._meter.count("clipthat_chat_switches_total", to="irc")
            await self._irc.attach(channel, room)

    async def _stop_anonymously(self, channel: str, room: Room) -> None:
        if self._is_anonymous:
            self._is_anonymous = False
            self._meter.count("clipthat_chat_switches_total", to="eventsub")
            await self._irc.detach(channel, room)


async def _set(event: asyncio.Event) -> None:
    await event.wait()
