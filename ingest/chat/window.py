"""Chat counted by the second: the windows that detectors read.

Law: pure. Lines are counted when their second closes, in the order of (time, id, user, text), so
that the order of arrival does not matter; a line that comes after its second has closed is
counted in the first open one. The counted lines, written down, give the same windows again.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bus.events import ChatWindow, ClipCommand
from ingest.chat.commands import is_clip_command
from ingest.chat.line import ChatLine
from ingest.chat.look import emote_count, is_shout, normalised, sample
from ingest.chat.settings import WindowSettings
from ingest.chat.source import ChatBatch

_SAMPLES_MAX = 3


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch."""

    windows: tuple[ChatWindow, ...]
    """The seconds that closed, without a hole."""
    counted: tuple[ChatLine, ...]
    """The batch's lines that count, each at the time at which it counts: what the log keeps."""
    dropped: int = 0
    """Lines that do not count: beyond the limit of one second, or of seconds not open yet."""


class ChatWindows:
    """The open seconds of one session's chat."""

    def __init__(
        self,
        *,
        tenant_id: str,
        channel_id: str,
        session_id: str,
        first_s: float = 0.0,
        settings: WindowSettings | None = None,
    ) -> None:
        """Begin at media second `first_s`.

        Lines before it belong to windows that an earlier run has closed: they are remembered for
        the caps and echoes, and not counted again.
        """
        self._names = (tenant_id, channel_id, session_id)
        self._settings = settings or WindowSettings()
        self._first = math.floor(first_s)
        self._open = self._first
        self._seconds: dict[int, list[ChatLine]] = {}
        self._gaps: set[int] = set()
        self._cap = _UserCap(self._settings)
        self._echoes = _Echoes(self._settings.echo_s)

    @property
    def until_s(self) -> float:
        """Media time up to which windows have closed."""
        return float(self._open)

    def take(self, batch: ChatBatch, until_s: float) -> Taken:
        """Add a batch and close the whole seconds before `until_s`."""
        counted, dropped = self._add(batch.lines)
        self._gaps.update(second for second in batch.gap_seconds if second >= self._open)
        return Taken(tuple(self._close(math.floor(until_s))), counted, dropped)

    def finish(self, batch: ChatBatch, end_s: float) -> Taken:
        """Add the last batch and close everything; lines at or after `end_s` are dropped.

        The last window reaches beyond `end_s` when that is not a whole second.
        """
        inside = [line for line in batch.lines if line.t_s < end_s]
        late = len(batch.lines) - len(inside)
        taken = self.take(replace(batch, lines=tuple(inside)), math.ceil(end_s))
        late += sum(len(lines) for lines in self._seconds.values())
        self._seconds.clear()
        return replace(taken, dropped=taken.dropped + late)

    def _add(self, lines: Iterable[ChatLine]) -> tuple[tuple[ChatLine, ...], int]:
        counted: list[ChatLine] = []
        dropped = 0
        for line in lines:
            if line.t_s < self._first:
                self._remember(line)
                continue
            placed = line if line.t_s >= self._open else replace(line, t_s=float(self._open))
            second = self._seconds.setdefault(math.floor(placed.t_s), [])
            if len(second) >= self._settings.lines_per_second_max:
                dropped += 1
                continue
            second.append(placed)
            counted.append(placed)
        return tuple(counted), dropped

    def _remember(self, line: ChatLine) -> None:
        if line.t_s >= self._first - self._settings.long_cap_s:
            self._echoes.seen(line)
            self._cap.allows(line)

    def _close(self, until: int) -> list[ChatWindow]:
        windows = []
        while self._open < until:
            lines = self._seconds.pop(self._open, [])
            windows.append(self._count(self._open, lines, gap=self._open in self._gaps))
            self._gaps.discard(self._open)
            self._open += 1
        return windows

    def _count(self, second: int, lines: Sequence[ChatLine], *, gap: bool) -> ChatWindow:
        tenant_id, channel_id, session_id = self._names
        ordered = sorted(lines, key=lambda line: (line.t_s, line.message_id, line.user, line.text))
        echoed = [self._echoes.seen(line) for line in ordered]
        allowed = [self._cap.allows(line) for line in ordered]
        heard = [line for line, ok in zip(ordered, allowed, strict=True) if ok]
        words = [line.text.split() for line in heard]
        return ChatWindow(
            tenant_id=tenant_id,
            channel_id=channel_id,
            session_id=session_id,
            media_s=float(second),
            messages=len(heard),
            lines=len(ordered),
            chatters=len({line.user for line in ordered}),
            words=sum(len(tokens) for tokens in words),
            chars=sum(len(line.text) for line in heard),
            emotes=sum(
                emote_count(tokens, line.emotes) for tokens, line in zip(words, heard, strict=True)
            ),
            shouts=sum(is_shout(line.text) for line in heard),
            echoes=sum(echo and ok for echo, ok in zip(echoed, allowed, strict=True)),
            commands=self._commands(ordered),
            samples=_samples(heard),
            gap=gap,
        )

    def _commands(self, lines: Sequence[ChatLine]) -> tuple[ClipCommand, ...]:
        """Return the second's clip commands, one for each user: a cap must not lose one."""
        found: dict[str, ClipCommand] = {}
        for line in lines:
            if len(found) >= self._settings.commands_per_second_max:
                break
            if line.user not in found and is_clip_command(line.text):
                found[line.user] = ClipCommand(
                    user=line.user, text=sample(line.text), role=line.role, at_s=line.t_s
                )
        return tuple(found.values())


def _samples(lines: Sequence[ChatLine]) -> tuple[str, ...]:
    """Return the second's most repeated texts, earlier ones first among equals."""
    shown = {normalised(line.text): sample(line.text) for line in reversed(lines)}
    times = Counter(normalised(line.text) for line in lines)
    texts = [shown[text] for text, _ in times.most_common()]
    return tuple(text for text in texts if text)[:_SAMPLES_MAX]


class _UserCap:
    """How much one user may raise the count: a flood by one is not a reaction of many."""

    def __init__(self, settings: WindowSettings) -> None:
        self._settings = settings
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, line: ChatLine) -> bool:
        """Return whether the line counts, and if so remember it."""
        settings = self._settings
        self._forget(line.t_s)
        times = self._times.get(line.user, deque())
        while times and times[0] <= line.t_s - settings.long_cap_s:
            times.popleft()
        recent = sum(time > line.t_s - settings.short_cap_s for time in times)
        if recent >= settings.short_cap_messages or len(times) >= settings.long_cap_messages:
            return False
        times.append(line.t_s)
        self._times[line.user] = times
        self._times.move_to_end(line.user)
        return True

    def _forget(self, now_s: float) -> None:
        while self._times:
            user, times = next(iter(self._times.items()))
            if times and times[-1] > now_s - self._settings.long_cap_s:
                break
            del self._times[user]


class _Echoes:
    """What was said lately, and by whom first."""

    def __init__(self, echo_s: float) -> None:
        self._echo_s = echo_s
        self._said: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def seen(self, line: ChatLine) -> bool:
        """Return whether somebody else has said the same within `echo_s`; remember the line."""
        while self._said:
            text, (at_s, _) = next(iter(self._said.items()))
            if at_s > line.t_s - self._echo_s:
                break
            del self._said[text]
        text = normalised(line.text)
        if not text:
            return False
        before = self._said.get(text)
        self._said[text] = (line.t_s, line.user)
        self._said.move_to_end(text)
        return before is not None and before[1] != line.user
