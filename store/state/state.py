"""The database: opened, migrated, closed.

Law: whoever means to write says so when the transaction begins, so that nobody is refused half-way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from store.state.address import driver_url
from store.state.engine import open_engine
from store.state.migrate import upgrade


class State:
    """The control plane's database, at the newest schema. Made by `State.open`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._readers = engine
        self._writers = engine.execution_options(clipthat_writes=True)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, busy_timeout_s: float = 30.0) -> AsyncIterator[State]:
        """Migrate the database to the newest schema and open it.

        `url`: `sqlite:////absolute/state.db` or `postgresql://…`. `busy_timeout_s`: how long a
        SQLite writer waits for another one.

        Raises:
            UnsupportedDatabase: the address names a database that ClipThat cannot use.
        """
        address = driver_url(url)
        await upgrade(address, busy_timeout_s=busy_timeout_s)
        engine = open_engine(address, busy_timeout_s=busy_timeout_s)
        try:
            yield cls(engine)
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that sees one state of the database."""
        async with AsyncSession(self._readers, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that is committed at the end, or rolled back by an exception."""
        async with AsyncSession(self._writers, expire_on_commit=False) as session, session.begin():
            await session.connection()  # the lock is taken now, not at the first statement
            yield session
