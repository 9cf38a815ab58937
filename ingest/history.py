"""Reads a channel's earlier sessions from the bus, with a group that never commits."""

from __future__ import annotations

import uuid

from bus.events import SessionStarted
from bus.ports import Bus, Record
from ingest.session_log import SessionLog

_TOPICS = ("sessions", "segments", "chat", "moments", "usage")
_BATCH = 1000


async def read_history(
    bus: Bus, tenant_id: str, channel_id: str, quiet_s: float
) -> dict[str, SessionLog]:
    """Return the channel's sessions by id, in the order in which they began.

    Reads what was there when it began, or until nothing has come for `quiet_s`: other channels
    may go on writing all the time.
    """
    logs: dict[str, SessionLog] = {}
    early: dict[str, list[Record]] = {}
    group = f"history-{uuid.uuid4().hex}"
    left: int | None = None
    async with bus.subscribe(group, _TOPICS) as log:
        while (left is None or left > 0) and (records := await log.fetch(_BATCH, quiet_s)):
            if left is None:
                # The group never commits, so its lag is all that there is.
                left = sum(lag.messages for lag in await bus.lag(group))
            left -= len(records)
            for record in records:
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
