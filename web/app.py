"""The web application: pages, JSON, media and what monitors ask for."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from bus.errors import Unavailable
from bus.ports import Meter, SilentMeter
from store.objects import Objects
from store.state.fleet_views import FleetViews
from store.state.state import State
from store.state.watchlist import Listed
from web.api import api_routes
from web.channels import ReadPlace, channel_routes
from web.connect import TwitchAccess, connect_routes
from web.control import control_routes
from web.control_door import ControlAccess
from web.forms import Forms
from web.health import Health
from web.media import media_routes
from web.monitor import monitor_routes
from web.pages import page_routes
from web.problems import passing_handler, problem_handler
from web.security import Fence
from web.settings import WebSettings
from web.signing import LinkSigner
from web.site import Site
from web.templating import STATIC_FOLDER, make_environment
from web.workers import worker_routes


def make_app(
    state: State,
    objects: Objects,
    settings: WebSettings,
    health: Callable[[], Health],
    metrics: Callable[[], bytes],
    *,
    tenant_id: str = "local",
    meter: Meter | None = None,
    twitch: TwitchAccess | None = None,
    read_place: ReadPlace | None = None,
    fixed: Callable[[], Sequence[Listed]] = list,
    control: ControlAccess | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """Return the application of one tenant.

    `health` and `metrics` are asked at each request; `metrics` returns the text that Prometheus
    reads. `twitch`: the accounts that may be connected; there is no such page without. `read_place`
    understands what a person writes for a channel; there is no watch list without. `fixed` tells
    how the channels stand that are watched whatever the list says. `control`: the leases of
    workers on other machines; none is let in without, and no page tells of any. `clock` gives
    Unix time.
    """
    secret = settings.media_secret.encode() or secrets.token_bytes(32)
    fleet = None if control is None else FleetViews.of(control.book)
    site = Site(
        state=state,
        objects=objects,
        settings=settings,
        health=health,
        tenant_id=tenant_id,
        signer=LinkSigner(secret, settings.link_ttl_s),
        templates=make_environment(),
        clock=clock,
        forms=Forms(secret, settings.public_url),
        nav=_nav(channels=read_place is not None, twitch=twitch is not None),
        fleet=fleet,
        accounts=None if twitch is None else twitch.accounts,
    )
    # The interactive documentation loads scripts from strangers; the description itself stays.
    app = FastAPI(title="ClipThat", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.include_router(page_routes(site))
    app.include_router(api_routes(site))
    app.include_router(media_routes(site))
    app.include_router(monitor_routes(health, metrics))
    if twitch is not None:
        app.include_router(connect_routes(site, twitch))
    if read_place is not None:
        app.include_router(channel_routes(site, read_place, fixed))
    if control is not None:
        app.include_router(control_routes(control))
    if fleet is not None:
        app.include_router(worker_routes(site, fleet))
    app.mount("/static", StaticFiles(directory=STATIC_FOLDER), name="static")
    told = problem_handler(site.templates)
    app.add_exception_handler(HTTPException, told)
    app.add_exception_handler(Unavailable, passing_handler(told))
    app.add_middleware(
        Fence,
        allowed_hosts=_hosts(settings),
        meter=meter or SilentMeter(),
        media_origin=settings.media_origin,
    )
    return app


def make_monitor_app(
    settings: WebSettings,
    health: Callable[[], Health],
    metrics: Callable[[], bytes],
    *,
    meter: Meter | None = None,
) -> FastAPI:
    """Return the application of a process without pages: `/healthz` and `/metrics` alone."""
    app = FastAPI(title="ClipThat", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(monitor_routes(health, metrics))
    app.add_middleware(
        Fence, allowed_hosts=_hosts(settings), meter=meter or SilentMeter(), media_origin=""
    )
    return app


def _nav(*, channels: bool, twitch: bool) -> tuple[tuple[str, str], ...]:
    return (*[("/channels", "Channels")] * channels, *[("/connect", "Twitch")] * twitch)


def _hosts(settings: WebSettings) -> tuple[str, ...]:
    public = urlsplit(settings.public_url).hostname
    return (*settings.allowed_hosts, public) if public else settings.allowed_hosts
