"""A site with a whole session, asked without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from store.keys import clip_key, render_key
from store.obstore_objects import ObstoreObjects, open_objects
from store.state import State
from store.state.apply import record
from tests.store.state.fresh import fresh_database
from tests.store.state.story import records, story
from web.app import make_app
from web.health import Health
from web.settings import WebSettings

VIDEO = bytes(range(256)) * 4096
"""A megabyte in which each place tells where it is."""


@dataclass(slots=True)
class Clock:
    """Unix time that stands still until it is moved."""

    now_s: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(slots=True)
class SiteUnderTest:
    """The application and what a test may turn."""

    state: State
    objects: ObstoreObjects
    clock: Clock = field(default_factory=Clock)
    health: Health = field(default_factory=lambda: Health(ok=True))

    def client(self, tenant_id: str = "acme", **settings: object) -> httpx.AsyncClient:
        """Return a client of a tenant's site."""
        told = {"media_secret": "for tests", "link_ttl_s": 600.0, **settings}
        app = make_app(
            self.state,
            self.objects,
            WebSettings(**told),  # type: ignore[arg-type]
            lambda: self.health,
            lambda: b"clipthat_up 1\n",
            tenant_id=tenant_id,
            clock=self.clock,
        )
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8420"
        )


@pytest.fixture
async def empty_site(tmp_path: Path) -> AsyncIterator[SiteUnderTest]:
    objects = open_objects((tmp_path / "objects").as_uri())
    async with State.open(await fresh_database(tmp_path)) as state:
        yield SiteUnderTest(state, objects)


@pytest.fixture
async def site(empty_site: SiteUnderTest) -> SiteUnderTest:
    await record(empty_site.state, records(story()))
    await empty_site.objects.put(clip_key("acme", "s1-clip-1", "source.mp4"), VIDEO)
    for name in ("vertical.mp4", "thumbnail.jpg"):
        await empty_site.objects.put(render_key("acme", "s1-clip-1", "v", name), VIDEO)
    return empty_site
