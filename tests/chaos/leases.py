"""Who held which lease when, seen from outside by looking at the rows again and again.

Law: it only reads, on a connection of its own; a time is that of the look at which the change was
first seen, so a recovery is never told shorter than it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import asyncpg

from tests.chaos.fleet import Death

LOOK_S = 0.2
_SQL = "SELECT kind, id, state, owner, token, until_s FROM leases"

Look = Callable[[], Awaitable[list[Any]]]


@dataclass(frozen=True, slots=True)
class Row:
    """A lease at one look."""

    kind: str
    id: str
    state: str
    owner: str
    token: int
    until_s: float

    def is_of(self, pid: int) -> bool:
        """Whether a process holds it."""
        return self.state in ("open", "stopping") and f":{pid}-" in self.owner


@dataclass
class Orphan:
    """A lease whose worker was killed, until somebody has it again."""

    death: Death
    row: Row
    recovered_s: float | None = None
    """Seconds until then."""


@dataclass
class LeaseWatch:
    """Looks at the rows for as long as it runs."""

    look: Look
    now: dict[tuple[str, str], Row] = field(default_factory=dict)
    orphans: list[Orphan] = field(default_factory=list)
    _open: list[Orphan] = field(default_factory=list)
    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(LOOK_S)

    async def once(self) -> None:
        """Look once; a database that is away is looked at again."""
        async with self._looking:
            try:
                rows = [Row(*row) for row in await self.look()]
            except (apsw.Error, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                return
        at_s = time.time()
        for row in rows:
            key = (row.kind, row.id)
            before = self.now.get(key)
            if before is None or before.token != row.token:
                self._since[key] = at_s
            self.now[key] = row
        for orphan in list(self._open):
            row = self.now[orphan.row.kind, orphan.row.id]
            if row.token != orphan.row.token or row.state not in ("open", "stopping"):
                orphan.recovered_s = at_s - orphan.death.at_s
                self._open.remove(orphan)

    def died(self, death: Death) -> list[Orphan]:
        """Note what a killed worker has left."""
        left = [Orphan(death, row) for row in self.now.values() if row.is_of(death.pid)]
        self._open += left
        self.orphans += left
        return left

    def holder(self, kind: str, work_id: str) -> tuple[str, float] | None:
        """Return who holds a piece of work, and since which Unix time."""
        row = self.now.get((kind, work_id))
        if row is None or not row.owner:
            return None
        return row.owner, self._since[kind, work_id]


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that other processes bring about."""
    while not is_so():  # noqa: ASYNC110 - other processes set no event of ours
        await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def watching(look: Look) -> AsyncIterator[LeaseWatch]:
    """Look at the rows for as long as the context is open."""
    watch = LeaseWatch(look)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()


def sqlite(path: Path) -> Look:
    """Look at a SQLite database."""
    db: apsw.Connection | None = None

    def rows() -> list[Any]:
        nonlocal db
        if db is None:
            db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            db.set_busy_timeout(1000)
        return list(db.execute(_SQL))

    async def look() -> list[Any]:
        return rows()

    return look


def postgres(address: str) -> Look:
    """Look at a PostgreSQL database, as a superuser whom no policy hides a row from."""
    connection: asyncpg.Connection[Any] | None = None

    async def look() -> list[Any]:
        nonlocal connection
        if connection is None or connection.is_closed():
            connection = await asyncpg.connect(address, timeout=5)
        return [tuple(row) for row in await connection.fetch(_SQL, timeout=5)]

    return look
