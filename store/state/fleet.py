"""The fleet at one moment: who is at work, what each holds, and what waits for whom.

Law: pure; how a worker stands and why work waits follow from what the book says and from its
settings alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from store.lease_settings import LeaseSettings
from store.leases import Kind
from store.state.lease_rules import may_fall_back

BEATS_MISSED = 2.0
"""A worker is silent when it has not been heard of for so many times its beat."""
UNTAKEN_S = 20.0
"""Whoever has room asks every second or so: what waits longer is left lying."""

WorkerState = Literal["at_work", "ready", "draining", "silent", "left", "gone"]
"""It holds something; nothing; takes nothing more; has not been heard of for a while; has ended in
good order; is not heard of any more, and what it held is free."""

Reason = Literal[
    "silent", "nobody", "full", "soon", "untaken", "gpu_wait", "gpu_full", "no_gpu", "no_dedicated"
]
"""Why work waits: its worker is silent and the lease not over; no worker is there; none has room;
one takes it at any moment; one should have; it is kept for a GPU for a while; every worker that
may have it is busy; no worker with a GPU is there, and nobody else gets it; neither one with a GPU
nor a dedicated one is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A piece of work in a worker's hands."""

    id: str
    """Of the work: a channel's or a render's."""
    name: str
    """What a person calls it: the channel, or the clip's title."""
    held_s: float | None
    """How long it has been this worker's; None: that is not known."""
    session_id: str = ""
    """The session that it makes or belongs to; empty: none runs."""
    clip_id: str = ""
    """Of a render; so are `layout` and `percent`."""
    layout: str = ""
    percent: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetWorker:
    """A worker that was heard of within the hour."""

    kind: str
    """`ingest`, `render`: its role."""
    name: str
    machine: str
    """The host, or what the setting worker.name calls it."""
    pool: str
    """`cpu`, `gpu`, `dedicated`."""
    state: str
    """As in WorkerState."""
    used: int
    """How many pieces it holds, of `slots` at the most."""
    slots: int
    silent_s: float
    """When it was heard of last."""
    holds: tuple[Holding, ...] = ()

    @property
    def takes(self) -> bool:
        """Whether it takes work at all."""
        return self.state in ("at_work", "ready")

    @property
    def has_room(self) -> bool:
        """Whether it takes work now."""
        return self.takes and self.used < self.slots


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """Work of one kind and pool that waits for one reason."""

    kind: str
    pool: str
    """Whose work it is first."""
    count: int
    oldest_s: float
    """How long the one has waited that has waited longest."""
    reason: str
    """As in Reason."""
    in_s: float | None = None
    """When the oldest goes to somebody else by itself; None: that is not foreseen."""
    then: str = ""
    """Of `silent`: why it would wait on after that, as in Reason."""
    worker: str = ""
    """Of `silent`: who had it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolRenders:
    """The renders that are a pool's first, and the workers of that pool."""

    pool: str
    waiting: int = 0
    made: int = 0
    """Being made at this time, by whomever."""
    elsewhere: int = 0
    """Of these by workers of another pool."""
    workers: int = 0
    """Those that take work."""
    used: int = 0
    slots: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelStand:
    """Who watches a channel, or why nobody does."""

    worker: str = ""
    """Who holds it; empty: nobody."""
    since_s: float | None = None
    """Unix time by the database's clock since which it does; None: that is not known."""
    waiting: Waiting | None = None
    """Why it waits; also when its worker is silent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """All workers and all that waits."""

    workers: tuple[FleetWorker, ...] = ()
    """By kind and name, those that are there before those that are not."""
    waiting: tuple[Waiting, ...] = ()
    renders: tuple[PoolRenders, ...] = ()

    def of(self, kind: Kind) -> list[FleetWorker]:
        """Return the workers of one kind that are there, heard of or silent."""
        return [one for one in self.workers if one.kind == kind and not is_over(one.state)]

    @property
    def over(self) -> list[FleetWorker]:
        """Those that are there no more, the last one first."""
        return sorted(
            (one for one in self.workers if is_over(one.state)), key=lambda one: one.silent_s
        )


def is_over(state: str) -> bool:
    """Say whether a worker is there no more."""
    return state in ("left", "gone")


def worker_state(
    *, silent_s: float, draining: bool, used: int, beat_s: float, good_for_s: float
) -> WorkerState:
    """Return how a worker stands.

    Args:
        silent_s: since when it has not been heard of.
        draining: it has said that it takes nothing more.
        used: how many pieces are its own at this time.
        beat_s: how often it is heard of at the least while it holds something.
        good_for_s: after so long whatever it held is free.
    """
    if draining and not used:
        return "left"
    if silent_s >= good_for_s:
        return "gone"
    if silent_s > BEATS_MISSED * beat_s:
        return "silent"
    if draining:
        return "draining"
    return "at_work" if used else "ready"


@dataclass(frozen=True, kw_only=True, slots=True)
class Takers:
    """Who could take work of one kind."""

    workers: Sequence[FleetWorker] = field(repr=False)
    """Of that kind."""
    settings: LeaseSettings

    def why(self, pool: str, waited_s: float) -> tuple[Reason, float | None]:
        """Return why free work waits, and in how many seconds it goes to another pool.

        Args:
            pool: whose work it is first.
            waited_s: how long nobody has had it.
        """
        takers = [one for one in self.workers if one.takes]
        if pool != "gpu":
            return self._among(takers, waited_s, "nobody", "full"), None
        own = [one for one in takers if one.pool == "gpu"]
        if any(one.has_room for one in own):
            return self._among(own, waited_s, "no_gpu", "gpu_full"), None
        policy = self.settings.fallback
        others = [one for one in takers if one.pool != "gpu" and _falls_to(one, policy)]
        if not others:
            nobody: Reason = "no_dedicated" if policy == "dedicated" else "no_gpu"
            if policy == "cpu" and not own:
                nobody = "nobody"
            return self._among(own, waited_s, nobody, "gpu_full"), None
        left_s = self._kept_for_gpu_s(waited_s)
        if left_s > 0:
            return "gpu_wait", left_s
        return self._among([*own, *others], waited_s, "nobody", "gpu_full"), None

    def _kept_for_gpu_s(self, waited_s: float) -> float:
        """Return how long it is kept for workers with a GPU, as Choice keeps it for them."""
        heard_s = [one.silent_s for one in self.workers if one.pool == "gpu"]
        if not heard_s:
            return 0.0
        return self.settings.gpu_wait_s - max(waited_s, min(heard_s))

    @staticmethod
    def _among(
        takers: Sequence[FleetWorker], waited_s: float, nobody: Reason, full: Reason
    ) -> Reason:
        if not takers:
            return nobody
        if not any(one.has_room for one in takers):
            return full
        return "untaken" if waited_s > UNTAKEN_S else "soon"


def _falls_to(worker: FleetWorker, policy: Literal["cpu", "dedicated", "never"]) -> bool:
    return may_fall_back("dedicated" if worker.pool == "dedicated" else "cpu", policy)


def renders_by_pool(
    waiting: Mapping[str, int], made: Iterable[tuple[str, str]], workers: Sequence[FleetWorker]
) -> tuple[PoolRenders, ...]:
    """Return how renders and their workers stand by pool.

    Args:
        waiting: how many wait, by the pool that comes first.
        made: of each that is being made the pool that comes first and its worker's name.
        workers: those that render.
    """
    pool_of = {one.name: one.pool for one in workers}
    held = [(pool, pool_of.get(name, pool)) for pool, name in made]
    taking = [one for one in workers if one.takes]
    pools = sorted({*waiting, *(pool for pool, _ in held), *(one.pool for one in taking)})
    return tuple(
        PoolRenders(
            pool=pool,
            waiting=waiting.get(pool, 0),
            made=sum(first == pool for first, _ in held),
            elsewhere=sum(first == pool != own for first, own in held),
            workers=sum(one.pool == pool for one in taking),
            used=sum(one.used for one in taking if one.pool == pool),
            slots=sum(one.slots for one in taking if one.pool == pool),
        )
        for pool in pools
    )
