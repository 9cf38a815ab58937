"""Follows one session on the bus, for whoever watches it happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

from bus.events import Event
from bus.stage import Ctx
from ops.outcome import SessionOutcome

TOPICS = ("sessions", "segments", "moments", "clips", "renders")

FETCH_TIMEOUT_S = 0.5


class Follow:
    """Feeds a session's events, old ones first, to its outcome and to a listener.

    Reads with a group of its own that never commits, so that a restart sees the whole session.
    """

    name = "follow"

    def __init__(
        self,
        session_id: Callable[[], str | None],
        outcome: Callable[[str], SessionOutcome],
        listener: Callable[[SessionOutcome, Event], None],
    ) -> None:
        self._session_id = session_id
        self._outcome = outcome
        self._listener = listener
        self.done = asyncio.Event()
        """Set once nothing more will come for the session."""

    async def run(self, ctx: Ctx) -> None:
        """Follow until the session is done or the process drains."""
        early: list[Event] = []
        outcome: SessionOutcome | None = None
        async with ctx.bus.subscribe(f"follow-{uuid4()}", TOPICS) as subscription:
            while not (self.done.is_set() or ctx.draining.is_set()):
                records = await subscription.fetch(1000, FETCH_TIMEOUT_S)
                early.extend(record.event for record in records)
                session_id = self._session_id()
                if session_id is None:
                    continue
                outcome = outcome or self._outcome(session_id)
                for event in early:
                    if event.session_id == session_id:
                        outcome.feed(event)
                        self._listener(outcome, event)
                early.clear()
                if outcome.phase == "done":
                    self.done.set()
