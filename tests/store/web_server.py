"""A real web server on loopback whose answers a test sets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serve(answers: Mapping[str, Answer]) -> AsyncIterator[str]:
    """Serve the answers by path; yields the server's address."""
    application = web.Application()
    for path, answer in answers.items():
        application.router.add_get(path, answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def body(content: bytes, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content, status=status)

    return answer


def ranged(content: bytes) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        span = request.http_range
        if span.start is None:
            return web.Response(body=content)
        stop = len(content) if span.stop is None else min(span.stop, len(content))
        told = {"Content-Range": f"bytes {span.start}-{stop - 1}/{len(content)}"}
        return web.Response(body=content[span.start : stop], status=206, headers=told)

    return answer


def moved(target: str, status: int = 302) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": target})

    return answer
