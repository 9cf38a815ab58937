"""The fleet's page: who is at work, what each worker holds, and what waits; the same as JSON.

Law: it shows one tenant's workers and changes nothing; who may open it may open every page.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from store.state.fleet import Fleet
from store.state.fleet_views import FleetViews
from web.site import Site

HOLDS_MAX = 12
"""So much of what a worker holds is listed; JSON lists all."""
OVER_MAX = 10
"""So many workers are listed that are there no more."""


def worker_routes(site: Site, views: FleetViews) -> APIRouter:
    """Return `/workers` and `/api/workers`."""
    router = APIRouter()

    @router.get("/workers", include_in_schema=False, response_class=HTMLResponse)
    async def page() -> str:
        return await site.render(
            "workers.html",
            fleet=await views.read(),
            holds_max=HOLDS_MAX,
            over_max=OVER_MAX,
            open=True,
        )

    @router.get("/api/workers")
    async def workers() -> Fleet:
        """Return the workers with what each holds, what waits and why, and renders by pool."""
        return await views.read()

    return router
