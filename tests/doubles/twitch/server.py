"""One loopback server that carries several of Twitch's doubles."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp import web


class Attached(Protocol):
    """A double that adds its routes to a server."""

    def attach(self, app: web.Application) -> None:
        """Add them, under the paths that Twitch uses."""
        ...


@contextlib.asynccontextmanager
async def serving(*doubles: Attached) -> AsyncIterator[str]:
    """Serve the doubles; give the server's address, `http://127.0.0.1:PORT`."""
    app = web.Application()
    for double in doubles:
        double.attach(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
