"""One SQLite connection in one thread, and writes that wait together are committed together.

Law: a write's result is told only after its transaction is durable; a step that fails undoes
itself alone; a disk that fails undoes everybody who was waiting, and each is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw

from bus.errors import BusBroken, BusClosed, BusError, BusFull
from bus.settings import LocalBusSettings

T = TypeVar("T")
Step = Callable[[apsw.Connection], T]

_TOGETHER_MAX = 256
"""Steps in one transaction, so that the first of them does not wait without bound."""


@dataclass(slots=True)
class _Call:
    step: Step[Any]
    writes: bool
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class SqliteThread:
    """A connection that belongs to its thread; everybody else hands it steps to run."""

    def __init__(self, path: Path, settings: LocalBusSettings) -> None:
        self._path = path
        self._settings = settings
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="bus", daemon=True)
        self._closed = False

    async def start(self, prepare: Step[None]) -> None:
        """Open the file and run `prepare` in the first transaction.

        Raises:
            BusError: the file cannot be opened or prepared.
        """
        self._thread.start()
        try:
            await self._ask(lambda _: None, writes=False)
            await self.write(prepare)
        except BaseException:
            await self.close()
            raise

    async def write(self, step: Step[T]) -> T:
        """Run a step inside a transaction; returns once that is durable.

        Raises:
            BusFull: there is no space left.
            BusError: what the step raised, or the file cannot be written.
        """
        answer: T = await self._ask(step, writes=True)
        return answer

    async def read(self, step: Step[T]) -> T:
        """Run a step that only reads, after the writes that were asked before it."""
        answer: T = await self._ask(step, writes=False)
        return answer

    async def close(self) -> None:
        """Finish what has been asked and close the file."""
        if not self._closed:
            self._closed = True
            self._calls.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _ask(self, step: Step[T], *, writes: bool) -> Any:
        if self._closed:
            raise BusClosed("the bus is closed")
        loop = asyncio.get_running_loop()
        call = _Call(step, writes, loop, loop.create_future())
        self._calls.put(call)
        return await call.answer

    # --- in the thread ---

    def _work(self) -> None:
        connection: apsw.Connection | None = None
        refusal: Exception | None = None
        try:
            connection = self._open()
        except apsw.Error as error:
            refusal = _told(error, self._path)
        while (call := self._calls.get()) is not None:
            calls = [call, *self._waiting()]
            if connection is None:
                for each in calls:
                    each.error = refusal
            else:
                self._run_all(connection, calls)
            _answer(calls)
        if connection is not None:
            connection.close()

    def _waiting(self) -> list[_Call]:
        calls: list[_Call] = []
        while len(calls) < _TOGETHER_MAX:
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                break
            if call is None:
                self._calls.put(None)
                break
            calls.append(call)
        return calls

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(round(self._settings.busy_timeout_s * 1000))
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._settings.synchronous}")
        connection.execute("PRAGMA journal_size_limit=67108864")
        page_bytes = connection.execute("PRAGMA page_size").get
        connection.execute(f"PRAGMA max_page_count={self._settings.size_max_bytes // page_bytes}")
        return connection

    def _run_all(self, connection: apsw.Connection, calls: list[_Call]) -> None:
        writes = [call for call in calls if call.writes]
        if writes:
            try:
                self._write_together(connection, writes)
            except Exception as error:  # whatever it is, nobody may wait for ever
                if connection.in_transaction:
                    with contextlib.suppress(apsw.Error):
                        connection.execute("ROLLBACK")
                for call in writes:
                    call.error = _told(error, self._path)
        for call in calls:
            if not call.writes:
                try:
                    call.result = call.step(connection)
                except Exception as error:  # the asker's to handle, whatever it is
                    call.error = _told(error, self._path)

    def _write_together(self, connection: apsw.Connection, calls: list[_Call]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for call in calls:
            connection.execute("SAVEPOINT step")
            try:
                call.result = call.step(connection)
            except apsw.Error:
                raise
            except Exception as error:  # the asker's to handle, whatever it is
                call.error = error
                connection.execute("ROLLBACK TO step")
            connection.execute("RELEASE step")
        connection.execute("COMMIT")


def _told(error: Exception, path: Path) -> Exception:
    """Return what the asker is told: SQLite's errors in our words, others as they are."""
    if not isinstance(error, apsw.Error):
        return error
    if isinstance(error, apsw.FullError):
        return BusFull(f"no space is left for the bus at {path}; free some and start again")
    if isinstance(error, apsw.BusyError):
        return BusError(f"another process has kept the bus at {path} locked for too long")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return BusBroken(f"the bus at {path} is damaged ({error}); move it away and start again")
    if isinstance(error, apsw.IOError):
        return BusBroken(
            f"the bus at {path} cannot be read or written ({error}); look at its disk's health, "
            "its space and the limits on the size of files"
        )
    return BusError(f"the bus at {path} cannot be used: {error}")


def _answer(calls: list[_Call]) -> None:
    """Hand out the results, one call into each event loop."""
    for loop in {call.loop for call in calls}:
        mine = [call for call in calls if call.loop is loop]
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, mine)


def _settle(calls: list[_Call]) -> None:
    for call in calls:
        if call.answer.done():
            continue
        if call.error is not None:
            call.answer.set_exception(call.error)
        else:
            call.answer.set_result(call.result)
