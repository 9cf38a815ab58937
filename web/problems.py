"""How a request that cannot be answered is told: a page for a person, JSON for a program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from jinja2 import Environment
from starlette.exceptions import HTTPException

_HEADINGS = {403: "Not allowed", 404: "Not here", 405: "Not possible", 503: "Not now"}


def problem_handler(
    templates: Environment,
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return what answers an HTTPException."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.url.path.startswith("/api/"):
            return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
        if request.url.path.startswith("/control/"):
            return _problem(error)
        if request.url.path.startswith("/media/"):
            return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)
        page = templates.get_template("problem.html").render(
            heading=_HEADINGS.get(error.status_code, "That did not work"), advice=error.detail
        )
        return HTMLResponse(page, error.status_code, headers=error.headers)

    return answer


def _problem(error: HTTPException) -> Response:
    """Return an error as RFC 9457 has programs told of it."""
    told = {
        "type": "about:blank",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": error.detail,
    }
    return JSONResponse(
        told, error.status_code, headers=error.headers, media_type="application/problem+json"
    )


def passing_handler(
    told: Callable[[Request, Exception], Awaitable[Response]],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return what answers when the database or the bucket is away: 503, through `told`."""

    async def answer(request: Request, error: Exception) -> Response:
        advice = "What this page is made from cannot be reached. Try again in a moment."
        return await told(request, HTTPException(503, advice, {"Retry-After": "5"}))

    return answer
