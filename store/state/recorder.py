"""The recorder: events become rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bus.consume import consume
from bus.ports import Record
from bus.stage import Ctx
from store.state.apply import record
from store.state.fold import TOPICS
from store.state.state import State


class Recorder:
    """Stage: reads every topic that rows follow from and writes each batch in one transaction."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def name(self) -> str:
        """The word in logs and metrics, and the consumer group."""
        return "recorder"

    async def run(self, ctx: Ctx) -> None:
        """Record until drained."""

        async def handle(records: Sequence[Record]) -> None:
            await record(self._state, records)
            for kind, count in Counter(type(one.event).__name__ for one in records).items():
                ctx.meter.count("clipthat_recorded_events_total", count, type=kind)

        await consume(ctx, self.name, TOPICS, handle, max_records=500)
