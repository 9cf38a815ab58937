"""What a bus promises, whoever carries it.

Law: delivery is at least once and in order per key; a record is done when its position has been
committed, and a commit by a member that has lost its partition is refused.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from bus.events import Event


class TopicPartition(NamedTuple):
    """One ordered log."""

    topic: str
    partition: int


class Record(NamedTuple):
    """An event at its place in a partition."""

    topic: str
    partition: int
    offset: int
    published_at_s: float
    event: Event

    @property
    def place(self) -> TopicPartition:
        """The partition that the record lies in."""
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a consumer group is behind in one partition."""

    place: TopicPartition
    messages: int
    seconds: float
    """Age of the oldest record that is not committed; zero when there is none."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A poison record: where it came from, why it is here and what it said."""

    topic: str
    partition: int
    offset: int
    group: str
    attempts: int
    error: str
    at_s: float
    value: bytes
    """The original bytes."""


class Subscription(Protocol):
    """One member of a consumer group."""

    async def fetch(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return the next records, in order per key; empty when none came in time.

        A record that cannot be decoded goes to the dead letters by itself.

        Raises:
            Fenced: partitions have moved to another member since the last call; what they gave
                is dropped, and the next call goes on with the rest.
        """
        ...

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Move the group's cursors: the next offset to read, in each partition.

        Raises:
            Fenced: the member no longer owns one of the partitions; drop what is in hand.
        """
        ...

    async def reject(self, record: Record, error: str, attempts: int) -> None:
        """Put a poison record into `<topic>.dlq`; returns when it is durable."""
        ...


class Bus(Protocol):
    """A durable log of events."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Append the events; durable on return. An id that is already there is left out."""
        ...

    def subscribe(
        self, group: str, topics: Sequence[str]
    ) -> AbstractAsyncContextManager[Subscription]:
        """Join a consumer group for as long as the context is open."""
        ...

    def replay(
        self, key: str, topics: Sequence[str], *, since_s: float = 0.0
    ) -> AsyncGenerator[Record]:
        """Yield what the log holds of a key now, without being in a group.

        In order in each topic, and in any order among topics; it ends where the log ended when it
        began. A record that cannot be decoded is left out.

        Args:
            key: whose records.
            topics: where to look.
            since_s: Unix time; what was published before is left out.

        Raises:
            BusError: a topic is unknown, or the log cannot be read.
        """
        ...

    async def lag(self, group: str) -> list[Lag]:
        """Return how far the group is behind, a row for each partition it has joined."""
        ...


@runtime_checkable
class HoldingBus(Protocol):
    """A bus that may hold an event back in this process until it can be sent."""

    async def publish_while(self, events: Sequence[Event], good: Callable[[], bool]) -> None:
        """Append the events as long as `good` says so; what is held when it no longer does, or
        when the process is gone, is dropped and never sent."""
        ...


class Meter(Protocol):
    """Numbers for ops. Names stand in `ops/metrics.py`; an unknown one raises KeyError there."""

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        """Raise a counter."""
        ...

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        ...

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        ...


class SilentMeter:
    """A meter that nobody reads."""

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        """Accept and forget."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Accept and forget."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Accept and forget."""
