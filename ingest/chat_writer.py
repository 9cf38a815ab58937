"""Turns what a chat reader hands over into windows and a raw log, in step with the media."""

from __future__ import annotations

import math

from bus.events import ChatWindow
from bus.ports import Meter
from ingest.chat.log import ChatLog
from ingest.chat.source import ChatBatch, ChatNotice, ChatSource
from ingest.chat.window import ChatWindows, Taken

_NOTICES_MAX = 20
_LOST_AFTER_S = 60


class ChatWriter:
    """One session's chat."""

    def __init__(
        self, source: ChatSource, windows: ChatWindows, log: ChatLog, meter: Meter
    ) -> None:
        self._source = source
        self._windows = windows
        self._log = log
        self._meter = meter
        self._notices: list[ChatNotice] = []
        self._lost_s = 0

    @property
    def until_s(self) -> float:
        """Media time up to which windows have closed."""
        return self._windows.until_s

    async def close_until(self, media_s: float) -> tuple[ChatWindow, ...]:
        """Return the windows of the whole seconds before `media_s` that were still open."""
        if math.floor(media_s) <= self._windows.until_s:
            return ()
        batch = await self._source.drain(media_s)
        self._note(batch)
        return await self._keep(self._windows.take(batch, media_s))

    async def finish(self, media_s: float) -> tuple[ChatWindow, ...]:
        """Return the last windows, up to the whole second behind `media_s`."""
        batch = await self._source.drain(media_s)
        self._note(batch)
        windows = await self._keep(self._windows.finish(batch, media_s))
        await self._log.flush()
        return windows

    def take_notices(self) -> tuple[ChatNotice, ...]:
        """Return what a person should know and has not been returned yet."""
        notices, self._notices = tuple(self._notices), []
        return notices

    def _note(self, batch: ChatBatch) -> None:
        self._notices = [*self._notices, *batch.notices][-_NOTICES_MAX:]
        if batch.dropped:
            self._meter.count("clipthat_chat_lines_dropped_total", by=batch.dropped)

    async def _keep(self, taken: Taken) -> tuple[ChatWindow, ...]:
        if taken.dropped:
            self._meter.count("clipthat_chat_lines_dropped_total", by=taken.dropped)
        gaps = sum(window.gap for window in taken.windows)
        if gaps:
            self._meter.count("clipthat_chat_gap_seconds_total", by=gaps)
        self._note_loss(taken.windows)
        await self._log.append(taken, self._windows.until_s)
        return taken.windows

    def _note_loss(self, windows: tuple[ChatWindow, ...]) -> None:
        """Say once for each loss that chat has been away for long."""
        for window in windows:
            if not window.gap:
                self._lost_s = 0
                continue
            self._lost_s += 1
            if self._lost_s == _LOST_AFTER_S:
                self._notices.append(
                    ChatNotice(
                        "chat_lost",
                        f"Nobody has heard the chat for {_LOST_AFTER_S} seconds; moments are found "
                        "by sound alone until it is back.",
                    )
                )
