"""Stands in for the control role: gives what a test has put there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from store.leases import Beat, Lease, Want

GOOD_S = 15.0
"""How long each of its leases is good."""


class Desk:
    """Implements `store.leases.Leases`: gives what a test has put there, and notes all."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.works: dict[str, Mapping[str, Any]] = {}
        """What is to be done, by the work's id; nothing is told where it is missing."""
        self.results: dict[str, Mapping[str, Any]] = {}
        self.tokens: dict[str, int] = {}
        self.lost: list[str] = []
        self.stop: list[str] = []
        self.said: list[tuple[str, str]] = []
        """(`done` or why it was given back, work) in their order."""
        self.asked: list[int] = []
        self.wants: list[Want] = []
        self.beats = 0
        self.fails: dict[str, Exception] = {}
        """What a request of this name meets."""
        self.slow = asyncio.Event()
        """Heartbeats are answered once it is set."""
        self.slow.set()
        self.answers = asyncio.Event()
        """Questions for work are answered once it is set."""
        self.answers.set()
        self.news = asyncio.Event()
        """Set when something is handed in or given back."""

    async def acquire(self, want: Want) -> list[Lease]:
        self.asked.append(want.capacity)
        self.wants.append(want)
        await self.answers.wait()
        self._may("acquire")
        taken, self.waiting = self.waiting[: want.capacity], self.waiting[want.capacity :]
        return [self._lease(want, work_id) for work_id in taken]

    async def heartbeat(self, held: Sequence[Lease]) -> Beat:
        self.beats += 1
        await self.slow.wait()
        self._may("heartbeat")
        kept = {lease.id: GOOD_S for lease in held if lease.id not in self.lost}
        lost = tuple(lease.id for lease in held if lease.id in self.lost)
        return Beat(kept=kept, lost=lost, stop=tuple(self.stop))

    async def complete(self, lease: Lease, result: Mapping[str, Any]) -> None:
        self._may("complete")
        self.results[lease.id] = result
        self.said.append(("done", lease.id))
        self.news.set()

    async def release(self, lease: Lease, reason: str) -> None:
        self._may("release")
        self.said.append((reason, lease.id))
        self.news.set()

    def _lease(self, want: Want, work_id: str) -> Lease:
        self.tokens[work_id] = self.tokens.get(work_id, 0) + 1
        return Lease(
            kind=want.kind,
            id=work_id,
            token=self.tokens[work_id],
            good_for_s=GOOD_S,
            tenant_id="acme",
            work=self.works.get(work_id, {}),
        )

    def _may(self, name: str) -> None:
        if name in self.fails:
            raise self.fails[name]
