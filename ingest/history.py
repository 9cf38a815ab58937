"""Reads a channel's earlier sessions from the bus.

Law: it costs what the open session has written, not what the log holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence

from bus.events import SessionStarted
from bus.ports import Bus, Record
from ingest.session_log import SessionLog

_ALWAYS = ("sessions", "moments")
"""Of every session: that it was, and how long its chat took to answer."""
_OF_OPEN = ("segments", "usage")
_OVERTAKEN_S = 60.0
"""What follows a session's beginning may lie so long before it in another topic."""
_CHAT_TAIL_S = 600.0


async def read_history(
    bus: Bus, tenant_id: str, channel_id: str, now_s: float
) -> dict[str, SessionLog]:
    """Return the channel's sessions by id, in the order in which they began.

    Those that have ended tell only that, and what was learned of their chat; open ones tell all.

    Args:
        bus: where they are written.
        tenant_id: whose channel.
        channel_id: the channel.
        now_s: Unix time, by the clock of those who publish.

    Raises:
        BusError: the bus is away before all has been read, or gives nothing of what it holds.
    """
    logs: dict[str, SessionLog] = {}
    begun_s: dict[str, float] = {}
    early: list[Record] = []
    async for record in _told(bus, tenant_id, channel_id, _ALWAYS, 0.0):
        if isinstance(record.event, SessionStarted):
            logs[record.event.session_id] = SessionLog(record.event)
            begun_s[record.event.session_id] = record.published_at_s
        else:
            # Topics come in any order among each other.
            early.append(record)
    _feed(logs, early)
    open_ones = {name: log for name, log in logs.items() if not log.ended}
    if open_ones:
        since_s = min(begun_s[name] for name in open_ones) - _OVERTAKEN_S
        rest = [r async for r in _told(bus, tenant_id, channel_id, _OF_OPEN, since_s)]
        rest += await _chat(bus, tenant_id, channel_id, open_ones, since_s, now_s)
        _feed(open_ones, rest)
    return logs


async def _chat(
    bus: Bus,
    tenant_id: str,
    channel_id: str,
    open_ones: Collection[str],
    since_s: float,
    now_s: float,
) -> list[Record]:
    """Return what says how far chat has been told: the newest windows, where all sessions have
    some, else all of them."""
    newest_s = now_s - _CHAT_TAIL_S
    found: list[Record] = []
    for from_s in sorted({since_s, max(since_s, newest_s)}, reverse=True):
        found = [r async for r in _told(bus, tenant_id, channel_id, ("chat",), from_s)]
        if {record.event.session_id for record in found}.issuperset(open_ones):
            break
    return found


def _feed(logs: dict[str, SessionLog], records: Sequence[Record]) -> None:
    for record in records:
        session = logs.get(record.event.session_id)
        if session is not None:
            session.feed(record.event, record.published_at_s)


async def _told(
    bus: Bus, tenant_id: str, channel_id: str, topics: Sequence[str], since_s: float
) -> AsyncIterator[Record]:
    async with contextlib.aclosing(bus.replay(channel_id, topics, since_s=since_s)) as records:
        async for record in records:
            event = record.event
            if event.tenant_id == tenant_id and event.channel_id == channel_id:
                yield record
