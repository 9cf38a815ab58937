"""How far one render has come, told without ever holding its encoder up.

Law: one word at a time is on its way; what would be said meanwhile is left out and counted, and
the next tenth says it better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from bus.events import RenderProgressed, RenderQueued
from bus.ports import Meter

Tell = Callable[[RenderProgressed], Awaitable[None]]
"""Is told of the tenths of an output that are made."""


class Progress:
    """Tells of one output while the context is open."""

    def __init__(self, queued: RenderQueued, tell: Tell, meter: Meter) -> None:
        self._queued = queued
        self._tell = tell
        self._meter = meter
        self._tenths = 0
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the last word, unless the render has broken: its end comes after it."""
        if self._sending is None:
            return
        if error is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
            return
        await self._sending

    async def at(self, percent: int) -> None:
        """Take how far it is, 0 to 100; each tenth is told once at the most.

        Raises:
            Exception: the telling of a tenth before has failed.
        """
        if percent // 10 <= self._tenths:
            return
        self._tenths = percent // 10
        if self._sending is not None:
            if not self._sending.done():
                kind = "replay" if self._queued.replay else "live"
                self._meter.count("clipthat_shed_total", what="progress", kind=kind)
                return
            self._sending.result()
        self._sending = asyncio.create_task(self._send(10 * self._tenths), name="render progress")

    async def _send(self, percent: int) -> None:
        queued = self._queued
        await self._tell(
            RenderProgressed(
                tenant_id=queued.tenant_id,
                channel_id=queued.channel_id,
                session_id=queued.session_id,
                render_id=queued.render_id,
                clip_id=queued.clip_id,
                percent=percent,
            )
        )
