"""Leases: who may do a long piece of work, until when, and by which number.

Law: work is held by one worker at a time as the database's clock sees it, and each time it changes
hands its token grows; whatever a worker hands in with an older token is refused, so a worker that
was frozen, cut off or slow can never undo what its successor has done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from store.errors import StoreError

Kind = Literal["ingest", "render"]
Pool = Literal["cpu", "gpu", "dedicated"]


class LeaseError(StoreError):
    """What can go wrong with a lease."""


class LeaseLost(LeaseError):
    """Another worker holds it now, or it was taken back; drop the work, publish nothing of it."""


class LeasesAway(LeaseError):
    """The control plane cannot be reached at this time; what is held stays held until it ends."""


class LeasesRefused(LeaseError):
    """The control plane does not take this worker; the message says what to set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """What a worker asks for."""

    kind: Kind
    capacity: int
    """How many more it can take at this time; never more are given."""
    pool: Pool = "cpu"
    slots: int = 0
    """How many it holds at the most, for people to see; zero: it does not say."""
    draining: bool = False
    """It asks for the last time: it takes nothing more after the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A piece of work that is this worker's until `good_for_s` after it asked."""

    kind: Kind
    id: str
    """Of the work: a channel's or a render's id."""
    token: int
    """Grows each time the work changes hands."""
    good_for_s: float
    """Counts from before the request that won or renewed it was sent, by the worker's own
    monotonic clock; after it the worker must have stopped."""
    tenant_id: str
    work: Mapping[str, Any] = field(default_factory=dict)
    """What to do, as JSON: a channel's place and chat, or a RenderQueued event as the bus codec
    writes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """What a heartbeat is answered with."""

    kept: Mapping[str, float] = field(default_factory=dict)
    """`good_for_s` of each lease that is still held, by its work's id."""
    lost: tuple[str, ...] = ()
    """Work that is another's by now, or nobody's any more."""
    stop: tuple[str, ...] = ()
    """Work that is still held but not wanted any more: end it in good order, then complete it."""
    connected: tuple[str, ...] | None = None
    """Channels among what is kept whose owner has connected Twitch by now, as
    `ChannelWork.eventsub` says of the beginning; None: nothing is said of it."""


class Leases(Protocol):
    """Hands out work; one place for all workers, and each names itself once when it connects."""

    async def acquire(self, want: Want) -> list[Lease]:
        """Take up to `want.capacity` pieces of work that nobody holds, oldest and live first.

        Raises:
            LeasesAway: nobody answers; try again.
            LeasesRefused: this worker is not taken.
        """
        ...

    async def heartbeat(self, held: Sequence[Lease]) -> Beat:
        """Renew what is held and hear what is lost or not wanted any more.

        Raises:
            LeasesAway: nobody answers; nothing is renewed.
            LeasesRefused: this worker is not taken.
        """
        ...

    async def complete(self, lease: Lease, result: Mapping[str, Any]) -> None:
        """Hand in what has come of it, durably; a second time with the same token is harmless.

        Raises:
            LeaseLost: the token is old; nothing of the result counts.
            LeasesAway: nobody answers; try again while the lease is good.
            LeasesRefused: this worker is not taken.
        """
        ...

    async def release(self, lease: Lease, reason: str) -> None:
        """Give it back undone, so that another may take it at once.

        Raises:
            LeasesAway: nobody answers; it falls free by itself when its time is over.
            LeasesRefused: this worker is not taken.
        """
        ...
