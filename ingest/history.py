"""Reads a channel's earlier sessions from the bus, with a group that never commits."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

from bus.errors import BusError
from bus.events import SessionStarted
from bus.ports import Bus, Record
from ingest.session_log import SessionLog

_TOPICS = ("sessions", "segments", "chat", "moments", "usage")
_BATCH = 1000
_SILENT_MAX = 30
"""A bus that says there is more may be silent for so many times `quiet_s`."""


async def read_history(
    bus: Bus, tenant_id: str, channel_id: str, quiet_s: float
) -> dict[str, SessionLog]:
    """Return the channel's sessions by id, in the order in which they began.

    Reads what was there when it began: other channels may go on writing all the time. A bus that
    is slow to give is waited for, `quiet_s` at a time: its silence is not the end of the log, and
    a session that is not seen to go on would begin anew.

    Raises:
        BusError: the bus is away before all has been read, or gives nothing of what it holds.
    """
    logs: dict[str, SessionLog] = {}
    early: dict[str, list[Record]] = {}
    async for record in _written(bus, quiet_s):
        event = record.event
        if event.tenant_id != tenant_id or event.channel_id != channel_id:
            continue
        if isinstance(event, SessionStarted):
            logs[event.session_id] = SessionLog(event)
        else:
            # Topics come in any order among each other.
            early.setdefault(event.session_id, []).append(record)
    for session_id, records in early.items():
        session = logs.get(session_id)
        for record in records if session is not None else ():
            assert session is not None  # narrowed by the line above
            session.feed(record.event, record.published_at_s)
    return logs


async def _written(bus: Bus, quiet_s: float) -> AsyncIterator[Record]:
    group = f"history-{uuid.uuid4().hex}"
    held: int | None = None
    given = silent = 0
    async with bus.subscribe(group, _TOPICS) as log:
        while held is None or (given < held and silent < _SILENT_MAX):
            records = await log.fetch(_BATCH, quiet_s)
            given += len(records)
            silent = 0 if records else silent + 1
            if held is None or silent == _SILENT_MAX:
                # The group never commits, so its lag is all that there is. A bus that answers
                # after a long silence has left out what it holds twice.
                held = sum(lag.messages for lag in await bus.lag(group))
            for record in records:
                yield record
    if held and not given:
        raise BusError(f"the bus holds {held} records and gives none of them")
