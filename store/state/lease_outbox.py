"""Results that workers have handed in, until they are on the bus.

Law: a result leaves the book only after the bus has it; what is published twice carries the same
id twice.
"""

from __future__ import annotations

import orjson
from sqlalchemy import select, update

from bus.codec import decode
from bus.ports import Bus
from store.state.state import State
from store.state.tables import LeaseRow

AT_ONCE = 100
"""So many results are published together."""


async def publish_results(state: State, bus: Bus, tenant_id: str) -> int:
    """Publish the oldest results that are not published yet; return how many there were.

    Raises:
        StateUnavailable: the database is away; what was published is published again later.
        BusError: the bus fails.
    """
    mine = (LeaseRow.tenant_id == tenant_id, LeaseRow.state == "made")
    async with state.reading() as session:
        query = select(LeaseRow).where(*mine).order_by(LeaseRow.queued_at_s).limit(AT_ONCE)
        rows = (await session.execute(query)).scalars().all()
    if not rows:
        return 0
    await bus.publish([decode(orjson.dumps(row.result)) for row in rows])
    by_kind: dict[str, list[str]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row.id)
    async with state.writing() as session:
        for kind, ids in by_kind.items():
            await session.execute(
                update(LeaseRow)
                .where(*mine, LeaseRow.kind == kind, LeaseRow.id.in_(ids))
                .values(state="done", work={}, result=None)
            )
    return len(rows)
