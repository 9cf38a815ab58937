"""Lets a session's whole ring go once nothing will read it again.

Law: SessionClipped comes after the last cut, and a clip is cut once; what follows reads the cuts.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus.consume import consume
from bus.events import SessionClipped
from bus.ports import Record
from bus.stage import Ctx
from store.keys import ring_folder
from store.objects import Objects


class RingSweep:
    """A stage that deletes the rings of sessions whose clips are all cut."""

    name = "ring_sweep"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def run(self, ctx: Ctx) -> None:
        """Follow `clips` until drained."""

        async def handle(records: Sequence[Record]) -> None:
            for record in records:
                event = record.event
                if isinstance(event, SessionClipped):
                    count = await sweep_ring(self._objects, event.tenant_id, event.session_id)
                    ctx.meter.count("clipthat_ring_evicted_segments_total", by=count)

        await consume(ctx, self.name, ["clips"], handle)


async def sweep_ring(objects: Objects, tenant_id: str, session_id: str) -> int:
    """Delete what is left of a session's ring; return how many objects that were.

    Raises:
        StoreUnavailable: the store refuses at present; nothing is lost by trying again.
    """
    left = await objects.list(ring_folder(tenant_id, session_id))
    if left:
        await objects.delete([info.key for info in left])
    return len(left)
