"""The port of leases for a worker that runs beside the database.

Law: it decides nothing; the book does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from store.leases import Beat, Lease, LeasesAway, Want
from store.state.errors import StateUnavailable
from store.state.lease_choice import Question
from store.state.leases import LeaseBook


class LocalLeases:
    """Implements store.leases.Leases for a worker beside the database."""

    def __init__(self, book: LeaseBook, worker: str, question: Question | None = None) -> None:
        """`worker`: a name that no other worker has; `question`: see `LeaseBook.acquire`."""
        self._book = book
        self._worker = worker
        self._question = question

    async def acquire(self, want: Want) -> list[Lease]:
        """As `Leases.acquire`."""
        with _away():
            return await self._book.acquire(self._worker, want, self._question)

    async def heartbeat(self, held: Sequence[Lease]) -> Beat:
        """As `Leases.heartbeat`."""
        with _away():
            return await self._book.heartbeat(self._worker, held)

    async def complete(self, lease: Lease, result: Mapping[str, Any]) -> None:
        """As `Leases.complete`."""
        with _away():
            await self._book.complete(self._worker, lease, result)

    async def release(self, lease: Lease, reason: str) -> None:
        """As `Leases.release`."""
        with _away():
            await self._book.release(self._worker, lease, reason)


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except StateUnavailable as error:
        raise LeasesAway(str(error)) from error
