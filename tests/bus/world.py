"""Events, clocks and meters that the tests of the bus share."""

from __future__ import annotations

import asyncio
from collections import Counter

from bus.events import ChatWindow, SessionEnded, SessionStarted


class SteppedClock:
    """Unix time that moves when a test says so."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s
        self._asked = asyncio.Event()

    def __call__(self) -> float:
        self._asked.set()
        return self.now_s

    async def is_asked(self) -> None:
        """Wait until somebody asks for the time again."""
        self._asked.clear()
        await self._asked.wait()

    def step(self, seconds: float) -> None:
        self.now_s += seconds


class CountingMeter:
    """A meter whose counters a test can read."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        self.counts[name] += int(by)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        pass

    def observe(self, name: str, value: float, **labels: str) -> None:
        pass


def window(second: int, session: str = "s", channel: str = "c") -> ChatWindow:
    return ChatWindow(
        tenant_id="t",
        channel_id=channel,
        session_id=session,
        media_s=float(second),
        messages=second,
    )


def windows(count: int, session: str = "s", channel: str = "c") -> list[ChatWindow]:
    return [window(second, session, channel) for second in range(count)]


def started(session: str, channel: str = "c") -> SessionStarted:
    return SessionStarted(
        tenant_id="t", channel_id=channel, session_id=session, kind="vod", title="", source="x"
    )


def ended(session: str, channel: str = "c") -> SessionEnded:
    return SessionEnded(
        tenant_id="t",
        channel_id=channel,
        session_id=session,
        media_s=1.0,
        chat_until_s=0.0,
        stored_s=1.0,
        missing_s=0.0,
        reason="ended",
    )
