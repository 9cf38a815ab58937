"""What monitors ask for: whether the service is well, and its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from web.health import Health

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def monitor_routes(health: Callable[[], Health], metrics: Callable[[], bytes]) -> APIRouter:
    """Return `/healthz` (503 when something is not well) and `/metrics`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        told = health()
        return JSONResponse(asdict(told), status_code=200 if told.ok else 503)

    @router.get("/metrics")
    async def numbers() -> Response:
        return Response(metrics(), media_type=_METRICS_TYPE)

    return router
