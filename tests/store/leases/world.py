"""A book of leases whose clock a test moves, and the ways to reach it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from bus.codec import encode
from bus.events import RenderFailed, RenderFinished, RenderQueued
from store.control_client import ControlLeases
from store.control_settings import ControlSettings
from store.keys import render_key
from store.lease_settings import LeaseSettings
from store.leases import Kind, Lease, Leases, Pool
from store.obstore_objects import open_objects
from store.state.leases import LeaseBook
from store.state.local_leases import LocalLeases
from store.state.state import State
from web.app import make_app
from web.control_door import ControlAccess
from web.health import Health
from web.settings import WebSettings

TENANT = "acme"
SECRET = "a secret of more than thirty-two characters"
CONTROL = ControlSettings(url="http://control:8420", secret=SECRET, timeout_s=60.0)


@dataclass(slots=True)
class HandClock:
    """A database's clock that stands still until a test moves it."""

    now_s: float = 1_700_000_000.0

    async def __call__(self, _session: AsyncSession) -> float:
        return self.now_s


@dataclass(slots=True)
class World:
    """A book and its workers."""

    state: State
    book: LeaseBook
    clock: HandClock
    connect: Callable[..., Leases]
    """Takes a worker's name and, by name, its pool; returns its port."""
    numbers: Numbers


@dataclass(slots=True)
class Numbers:
    """A meter whose counters can be looked at."""

    counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)
    gauges: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        self.counts[key] = self.counts.get(key, 0.0) + by

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name, tuple(sorted(labels.items()))] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        pass

    def counted(self, name: str, **labels: str) -> float:
        return self.counts.get((name, tuple(sorted(labels.items()))), 0.0)

    def told(self, name: str, **labels: str) -> float:
        return self.gauges[name, tuple(sorted(labels.items()))]


@dataclass(slots=True)
class Outlet:
    """Implements as much of bus.ports.Bus as results need; what came twice is kept twice."""

    events: list[RenderFinished | RenderFailed] = field(default_factory=list)

    async def publish(self, events: Sequence[Any]) -> None:
        self.events += events

    def subscribe(self, group: str, topics: Sequence[str]) -> Any:
        raise NotImplementedError

    def replay(self, key: str, topics: Sequence[str], *, since_s: float = 0.0) -> Any:
        raise NotImplementedError

    async def lag(self, group: str) -> Any:
        raise NotImplementedError


@asynccontextmanager
async def open_world(
    url: str, *, over_http: bool = False, settings: LeaseSettings | None = None
) -> AsyncIterator[World]:
    """Open a book on a database; its workers reach it directly or over HTTP."""
    clock, numbers = HandClock(), Numbers()
    async with State.open(url, tenant_id=TENANT) as state, AsyncExitStack() as stack:
        book = LeaseBook(
            state, settings or LeaseSettings(), tenant_id=TENANT, meter=numbers, clock=clock
        )
        if not over_http:
            yield World(state, book, clock, lambda name, **_: LocalLeases(book, name), numbers)
            return
        transport = httpx.ASGITransport(make_control_app(book, numbers))
        clients: dict[tuple[str, str], Leases] = {}
        for name, pool in itertools.product("abc", ("cpu", "gpu", "dedicated")):
            clients[name, pool] = await stack.enter_async_context(
                client(name, transport, pool=pool)  # type: ignore[arg-type]
            )
        yield World(state, book, clock, lambda name, pool="cpu": clients[name, pool], numbers)


def make_control_app(
    book: LeaseBook, numbers: Numbers, settings: ControlSettings = CONTROL, **told: Any
) -> Any:
    """Return the web application of a control plane."""
    return make_app(
        book.state,
        open_objects("memory://"),
        WebSettings(),
        lambda: Health(ok=True),
        lambda: b"",
        tenant_id=TENANT,
        control=ControlAccess(book=book, settings=settings, meter=numbers, **told),
    )


def client(
    name: str,
    transport: httpx.AsyncBaseTransport,
    *,
    pool: Pool = "cpu",
    kinds: tuple[Kind, ...] = ("ingest", "render"),
    settings: ControlSettings = CONTROL,
    **told: Any,
) -> Any:
    """Return the port over HTTP, as a context."""
    return ControlLeases.open(
        settings, worker=name, kinds=kinds, pool=pool, transport=transport, **told
    )


def queued(render_id: str = "r1", **told: Any) -> RenderQueued:
    """Return a render that is to be made."""
    return RenderQueued(
        **{
            "tenant_id": TENANT,
            "channel_id": "ch1",
            "session_id": "s1",
            "render_id": render_id,
            "clip_id": f"clip-{render_id}",
            "layout": "vertical_blur",
            "source_key": f"tenant/{TENANT}/clips/clip-{render_id}/source.mp4",
            "in_s": 0.0,
            "out_s": 20.0,
            **told,
        }
    )


def finished(lease: Lease, **told: Any) -> RenderFinished:
    """Return what a worker hands in that has made a render."""
    clip_id = str(lease.work["clip_id"])
    return RenderFinished(
        **{
            "tenant_id": TENANT,
            "channel_id": "ch1",
            "session_id": "s1",
            "render_id": lease.id,
            "clip_id": clip_id,
            "layout": "vertical_blur",
            "output_key": render_key(TENANT, clip_id, lease.id, f"{lease.token}-vertical.mp4"),
            "width": 1080,
            "height": 1920,
            "duration_s": 20.0,
            "size_bytes": 1000,
            **told,
        }
    )


def failed(lease: Lease) -> RenderFailed:
    """Return what a worker hands in that could not make a render."""
    return RenderFailed(
        tenant_id=TENANT,
        channel_id="ch1",
        session_id="s1",
        render_id=lease.id,
        clip_id=str(lease.work["clip_id"]),
        layout="vertical_blur",
        reason="source_missing",
    )


def work(event: RenderQueued | RenderFinished | RenderFailed) -> Mapping[str, Any]:
    """Return an event as a lease carries it."""
    told: dict[str, Any] = orjson.loads(encode(event))
    return told


async def want_renders(book: LeaseBook, *render_ids: str, **told: Any) -> None:
    """Put renders into the book, one after the other."""
    for render_id in render_ids:
        await book.want("render", render_id, work(queued(render_id)), **told)
