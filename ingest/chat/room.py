"""One channel's chat, whoever hears it: a bounded buffer that several feeders fill.

Law: pure, time comes from the clock it is given. A message counts once, however many feeders tell
it and however often; it stands where it was sent; and while no feeder is joined the room is cut
off, which is told as gaps, never as silence.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from statistics import median
from typing import Protocol

from ingest.chat.line import ChatLine
from ingest.chat.said import Said
from ingest.chat.settings import RoomSettings
from ingest.chat.source import ChatBatch

_SKEW_SAMPLES = 9
_SKEW_EVERY_S = 1.0
_BANS_MAX = 1_000


class Feeder(Protocol):
    """What hears a channel's chat and tells it to rooms: a hub of connections, an event socket."""

    async def attach(self, channel: str, room: Room) -> None:
        """Begin to hear `channel` (a login, lower case) for `room`; returns at once."""
        ...

    async def detach(self, channel: str, room: Room) -> None:
        """Tell `room` that it is cut off from here, and nothing more.

        A room that is not attached is left as it is.
        """
        ...


class Room:
    """A `ChatSource` that feeders fill.

    A feeder calls `joined` once it hears the channel, `hear` for each message and `cut` when it
    hears no more. Every call is cheap, never waits and never raises.
    """

    def __init__(
        self,
        channel: str,
        feeder: Feeder,
        settings: RoomSettings | None = None,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Belong to `channel` (a login, lower case), and be filled by what `feeder` leads here.

        Args:
            channel: whose chat it is.
            feeder: attached by `open`, detached by `close`.
            settings: limits.
            clock: tells Unix seconds.
        """
        self.channel = channel
        self._feeder = feeder
        self._settings = settings or RoomSettings()
        self._clock = clock
        self._is_open = False
        self._wall_start_s = 0.0
        self._drained_s = 0.0
        self._lines: deque[tuple[float, int, Said]] = deque()
        self._size_chars = 0
        self._serial = 0
        self._dropped = 0
        self._seen = _Seen(self._settings.seen_ids_max)
        self._skew = _Skew()
        self._gaps: set[int] = set()
        self._joined: set[str] = set()
        self._cut_at_s: float | None = -math.inf
        self._banned: OrderedDict[str, int] = OrderedDict()
        self._removed: OrderedDict[str, int] = OrderedDict()

    @property
    def end_s(self) -> float | None:
        """None: live chat has no end."""
        return None

    @property
    def is_joined(self) -> bool:
        """Whether some feeder hears the channel now."""
        return bool(self._joined)

    @property
    def held(self) -> int:
        """Lines that wait to be drained."""
        return len(self._lines)

    # --- what a watch does --------------------------------------------------------------------

    async def open(self, wall_start_s: float | None) -> None:
        """Have the feeder attached; see `ChatSource.open`.

        Without `wall_start_s` media zero is now. What was said before is a gap.
        """
        self._wall_start_s = self._clock() if wall_start_s is None else wall_start_s
        self._is_open = True
        await self._feeder.attach(self.channel, self)

    async def drain(self, until_s: float) -> ChatBatch:
        """Return the lines sent before `until_s`; see `ChatSource.drain`."""
        if self._cut_at_s is not None:
            until_wall_s = (
                self._wall_start_s + until_s if math.isfinite(until_s) else self._server_now_s()
            )
            self._note_gap(self._cut_at_s, until_wall_s)
            self._cut_at_s = max(self._cut_at_s, until_wall_s)
        ready, late = self._take(until_s)
        if late > self._settings.late_lines_max:
            # They count in the first second that is still open, which they would make a burst.
            self._gaps.add(math.floor(self._drained_s))
        gaps = frozenset(second for second in self._gaps if second < until_s)
        self._gaps -= gaps
        dropped, self._dropped = self._dropped, 0
        if math.isfinite(until_s):
            self._drained_s = max(self._drained_s, until_s)
        return ChatBatch(tuple(ready), self.is_joined, gaps, dropped)

    async def close(self) -> None:
        """Have the feeder detached and let everything go."""
        if not self._is_open:
            return
        self._is_open = False
        await self._feeder.detach(self.channel, self)
        self._lines.clear()
        self._size_chars = 0
        self._joined.clear()

    # --- what a feeder tells ------------------------------------------------------------------

    def joined(self, feeder: str) -> None:
        """Tell that `feeder` hears the channel from now on."""
        self._joined.add(feeder)
        if self._cut_at_s is not None:
            self._note_gap(self._cut_at_s, self._server_now_s())
            self._cut_at_s = None

    def cut(self, feeder: str, heard_s: float | None = None) -> None:
        """Tell that `feeder` hears the channel no more.

        Args:
            feeder: its name; one that had not joined changes nothing.
            heard_s: Unix time by our clock at which it certainly still heard; now when None.
        """
        if feeder not in self._joined:
            return
        self._joined.discard(feeder)
        if not self._joined:
            now_s = self._server_now_s()
            self._cut_at_s = now_s if heard_s is None else min(heard_s - self._skew.s, now_s)

    def hear(self, said: Said) -> None:
        """Take a message in; one that was heard before is left out."""
        if not self._is_open or not self._seen.is_new(said.message_id):
            return
        now_s = self._clock()
        sent_s = said.sent_s
        settings = self._settings
        if sent_s is not None and (
            now_s - settings.sent_behind_max_s <= sent_s <= now_s + settings.sent_ahead_max_s
        ):
            self._skew.note(now_s, sent_s)
        else:
            sent_s = now_s - self._skew.s
        self._serial += 1
        self._lines.append((sent_s - self._wall_start_s, self._serial, said))
        self._size_chars += said.size_chars
        while (
            len(self._lines) > settings.buffer_lines_max
            or self._size_chars > settings.buffer_chars_max
        ):
            self._size_chars -= self._lines.popleft()[2].size_chars
            self._dropped += 1

    def remove_message(self, message_id: str) -> None:
        """Forget a message that a moderator has deleted, if it still waits."""
        self._forbid(self._removed, message_id)

    def remove_user(self, login: str) -> None:
        """Forget what a user has said whom a moderator has banned, as far as it still waits."""
        self._forbid(self._banned, login)

    # --- within -------------------------------------------------------------------------------

    def _server_now_s(self) -> float:
        """Return what Twitch's clock says now, by which messages are placed."""
        return self._clock() - self._skew.s

    def _take(self, until_s: float) -> tuple[list[ChatLine], int]:
        """Return what stands before `until_s`, in order, and how much of it came too late."""
        ready = []
        kept: deque[tuple[float, int, Said]] = deque()
        for entry in self._lines:
            if entry[0] >= until_s:
                kept.append(entry)
            else:
                self._size_chars -= entry[2].size_chars
                if not self._is_forbidden(entry[1], entry[2]):
                    ready.append(entry)
        self._lines = kept
        if not kept:
            self._banned.clear()
            self._removed.clear()
        ready.sort()
        closed_s = math.floor(self._drained_s)
        late = sum(t_s < closed_s for t_s, _, _ in ready) if closed_s > 0 else 0
        return [said.line(t_s) for t_s, _, said in ready], late

    def _forbid(self, those: OrderedDict[str, int], name: str) -> None:
        if not self._lines:
            return
        those[name] = self._serial
        those.move_to_end(name)
        if len(those) > _BANS_MAX:
            those.popitem(last=False)

    def _is_forbidden(self, serial: int, said: Said) -> bool:
        if self._removed and serial <= self._removed.get(said.message_id, 0):
            return True
        return bool(self._banned) and serial <= self._banned.get(said.login, 0)

    def _note_gap(self, from_wall_s: float, until_wall_s: float) -> None:
        """Remember the media seconds between two times of Twitch's clock, touched ones too."""
        until = math.ceil(until_wall_s - self._wall_start_s)
        first = max(
            math.floor(max(from_wall_s - self._wall_start_s, self._drained_s)),
            until - self._settings.gap_seconds_max,
        )
        self._gaps.update(range(first, until))
        if len(self._gaps) > self._settings.gap_seconds_max:
            self._gaps = set(sorted(self._gaps)[-self._settings.gap_seconds_max :])


class _Seen:
    """The latest message ids, in two generations; the older one is forgotten at once."""

    def __init__(self, ids_max: int) -> None:
        self._half = max(1, ids_max // 2)
        self._young: set[str] = set()
        self._old: set[str] = set()

    def is_new(self, message_id: str) -> bool:
        """Return whether the id has not been seen lately, and remember it; no id is always new."""
        if not message_id:
            return True
        if message_id in self._young or message_id in self._old:
            return False
        self._young.add(message_id)
        if len(self._young) > self._half:
            self._old, self._young = self._young, set()
        return True


class _Skew:
    """How far our clock is ahead of Twitch's, the way of a message included."""

    def __init__(self) -> None:
        self.s = 0.0
        """Our clock less Twitch's, in seconds; 0 until a message has told."""
        self._samples: deque[float] = deque(maxlen=_SKEW_SAMPLES)
        self._next_s = -math.inf

    def note(self, now_s: float, sent_s: float) -> None:
        """Learn from a message, at most one a second; one that lies changes nothing."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + _SKEW_EVERY_S
        self._samples.append(now_s - sent_s)
        self.s = median(self._samples)
