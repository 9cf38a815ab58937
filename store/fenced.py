"""Bus and objects for as long as a lease is good.

Law: what a worker writes passes here, and the lease is looked at right before each write, so that
one that was frozen or cut off adds nothing to what its successor writes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bus.events import Event
from bus.ports import Bus, HoldingBus, Lag, Record, Subscription
from store.leases import LeaseLost
from store.objects import ObjectInfo, Objects

Check = Callable[[], None]
"""Raises LeaseLost once the lease is not good any more."""


class FencedBus:
    """Implements `bus.ports.Bus`; publishes under a lease alone."""

    def __init__(self, bus: Bus, check: Check) -> None:
        self._bus = bus
        self._check = check

    async def publish(self, events: Sequence[Event]) -> None:
        """Append the events.

        Raises:
            LeaseLost: the lease is over; none is published.
        """
        self._check()
        if isinstance(self._bus, HoldingBus):
            await self._bus.publish_while(events, self._is_good)
        else:
            await self._bus.publish(events)

    def _is_good(self) -> bool:
        try:
            self._check()
        except LeaseLost:
            return False
        return True

    def subscribe(
        self, group: str, topics: Sequence[str]
    ) -> AbstractAsyncContextManager[Subscription]:
        """Join a consumer group; whoever may read at all may read without a lease."""
        return self._bus.subscribe(group, topics)

    def replay(
        self, key: str, topics: Sequence[str], *, since_s: float = 0.0
    ) -> AsyncGenerator[Record]:
        """Yield what the log holds of a key now."""
        return self._bus.replay(key, topics, since_s=since_s)

    async def lag(self, group: str) -> list[Lag]:
        """Return how far the group is behind."""
        return await self._bus.lag(group)


class FencedObjects:
    """Implements `store.objects.Objects`; puts and deletes under a lease alone."""

    def __init__(self, objects: Objects, check: Check) -> None:
        self._objects = objects
        self._check = check

    async def put(self, key: str, data: bytes | Path) -> None:
        """Store an object.

        Raises:
            LeaseLost: the lease is over; nothing is stored.
        """
        self._check()
        await self._objects.put(key, data)

    async def get(self, key: str) -> bytes:
        """Return an object's bytes."""
        return await self._objects.get(key)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects.

        Raises:
            LeaseLost: the lease is over; nothing is removed.
        """
        self._check()
        await self._objects.delete(keys)

    async def list(self, prefix: str) -> Sequence[ObjectInfo]:
        """Return what lies below a prefix."""
        return await self._objects.list(prefix)
