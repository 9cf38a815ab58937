"""The database: opened, migrated, closed.

Law: whoever means to write says so when the transaction begins, so that nobody is refused half-way;
and every transaction is one tenant's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from store.state.address import driver_url
from store.state.engine import open_engine, passes
from store.state.errors import StateError, StateUnavailable
from store.state.migrate import upgrade


class State:
    """The control plane's database, at the newest schema. Made by `State.open`."""

    def __init__(self, engine: AsyncEngine, tenant_id: str, turns: _Turns) -> None:
        self._engine = engine
        self._tenant_id = tenant_id
        self._turns = turns
        self._readers = engine.execution_options(clipthat_tenant=tenant_id)
        self._writers = self._readers.execution_options(clipthat_writes=True)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, tenant_id: str = "local", busy_timeout_s: float = 30.0
    ) -> AsyncIterator[State]:
        """Migrate the database to the newest schema and open it.

        `url`: `sqlite:////absolute/state.db` or `postgresql://…`. `tenant_id`: whose rows are read
        and written. `busy_timeout_s`: how long a SQLite writer waits for another one.

        Raises:
            UnsupportedDatabase: the address names a database that ClipThat cannot use.
            StateUnavailable: it cannot be reached.
            StateError: it cannot be migrated.
        """
        address = driver_url(url)
        try:
            with _told("cannot be migrated"), _reached():
                await upgrade(address, busy_timeout_s=busy_timeout_s)
        except DBAPIError as error:
            raise StateError(f"the database cannot be migrated: {error.orig}") from error
        engine = open_engine(address, busy_timeout_s=busy_timeout_s)
        try:
            yield cls(engine, tenant_id, _Turns(engine, busy_timeout_s))
        finally:
            await engine.dispose()

    def of(self, tenant_id: str) -> State:
        """Return the same database for another tenant."""
        return self if tenant_id == self._tenant_id else State(self._engine, tenant_id, self._turns)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that sees one state of the database.

        Raises:
            StateUnavailable: the database cannot be read now.
        """
        with _told("cannot be read"):
            async with _transaction(self._readers) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that is committed at the end, or rolled back by an exception.

        Raises:
            StateUnavailable: the database cannot be written now. When it was lost at the very end,
                nobody knows whether the transaction was committed.
        """
        with _told("cannot be written"):
            async with self._turns.next(), _transaction(self._writers) as session:
                yield session


class _Turns:
    """Whose turn it is to write, within this process.

    SQLite has one writer, and who waits for its lock looks now and then whether it is free: among
    many, one may wait for ever. So they queue here. PostgreSQL needs no turns.
    """

    def __init__(self, engine: AsyncEngine, patience_s: float) -> None:
        self._one = asyncio.Lock() if engine.dialect.name == "sqlite" else None
        self._patience_s = patience_s

    @asynccontextmanager
    async def next(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for as long as the context is open."""
        if self._one is None:
            yield
            return
        try:
            async with asyncio.timeout(self._patience_s):
                await self._one.acquire()
        except TimeoutError as error:
            raise StateUnavailable("the database cannot be written: others still are") from error
        try:
            yield
        finally:
            self._one.release()


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        with _reached():
            # The connection, and SQLite's lock, are taken now and not at the first statement.
            await session.connection()
        yield session


@contextmanager
def _reached() -> Iterator[None]:
    """Tell of a server that cannot be reached; drivers leave the system's own errors bare."""
    try:
        yield
    except (OSError, TimeoutError) as error:
        raise StateUnavailable(f"the database cannot be reached: {error}") from error


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Raise the database's passing errors as ours."""
    try:
        yield
    except PoolTimeout as error:
        raise StateUnavailable(f"the database {what}: every connection is in use") from error
    except DBAPIError as error:
        if not passes(error):
            raise
        raise StateUnavailable(f"the database {what}: {error.orig}") from error
