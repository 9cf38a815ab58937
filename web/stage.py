"""The web stage: uvicorn inside the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from bus.stage import Ctx
from web.settings import WebSettings


class _Server(uvicorn.Server):
    """A server that leaves signals to the supervisor."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal."""
        yield


class Web:
    """Stage: serves the application until drained."""

    def __init__(self, app: FastAPI, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings
        self._address = ""
        self._bound = asyncio.Event()

    @property
    def name(self) -> str:
        """The word in logs and metrics."""
        return "web"

    async def address(self) -> str:
        """Wait until the server listens, and return its address, such as `http://127.0.0.1:8420`."""
        await self._bound.wait()
        return self._address

    async def run(self, ctx: Ctx) -> None:
        """Serve until drained; open answers are given a few seconds to end.

        Raises:
            OSError: the port is taken, or the address is not one of this machine.
        """
        settings = self._settings
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=settings.connections_max,
            timeout_graceful_shutdown=round(settings.drain_s),
        )
        server = _Server(config)
        with _listen(settings.host, settings.port) as listener:
            host, port = listener.getsockname()[:2]
            self._address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            self._bound.set()
            async with asyncio.TaskGroup() as group:
                stop = group.create_task(_stop_when_drained(server, ctx))
                try:
                    await server.serve(sockets=[listener])
                finally:
                    stop.cancel()
                    self._bound.clear()


async def _stop_when_drained(server: uvicorn.Server, ctx: Ctx) -> None:
    await ctx.draining.wait()
    server.should_exit = True


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=256) as listener:
        yield listener
