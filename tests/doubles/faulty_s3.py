"""Stands before a server of buckets (S3, Google's) and breaks a part of what passes, by a seed."""

from __future__ import annotations

import asyncio
import io
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

FAULTS = ("error", "throttled", "cut", "stalled", "unheard")
"""500; 503; an answer that ends half-way; one that stops half-way; an order that is obeyed but
whose answer is lost."""

_HOP = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "date"})


@dataclass
class FaultyS3:
    """Passes requests on; the share `rate` of them meets a fault."""

    target: str
    rate: float = 0.1
    seed: int = 7
    faults: tuple[str, ...] = FAULTS
    met: Counter[str] = field(default_factory=Counter)

    asked: Counter[str] = field(default_factory=Counter)

    def _fault(self, request: web.Request) -> str:
        """Return what the request meets: decided by what is asked and how often it has been."""
        path = request.path.partition("/folder/")[2]
        name = f"{request.method} {path} {request.query.get('partNumber', '')}"
        self.asked[name] += 1
        chance = random.Random(f"{self.seed} {name} {self.asked[name]}")
        return chance.choice(self.faults) if chance.random() < self.rate else ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, well or badly."""
        fault = self._fault(request)
        self.met[fault] += 1
        body = await request.read()
        if fault in ("error", "throttled"):
            return web.Response(status=500 if fault == "error" else 503)
        # The signature covers the name that was asked for.
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                URL(f"{self.target}{request.raw_path}", encoded=True),
                headers=headers,
                data=io.BytesIO(body),
                allow_redirects=False,
            ) as found,
        ):
            data = await found.read()
            told = {k: v for k, v in found.headers.items() if k.lower() not in _HOP}
        if request.method == "HEAD":
            told["Content-Length"] = found.headers.get("Content-Length", "0")
            return web.Response(status=found.status, headers=told)
        if not fault:
            return web.Response(status=found.status, headers=told, body=data)
        return await self._broken(request, fault, found.status, told, data)

    async def _broken(
        self, request: web.Request, fault: str, status: int, headers: dict[str, str], data: bytes
    ) -> web.StreamResponse:
        assert request.transport is not None
        if fault == "unheard":
            request.transport.abort()
            raise ConnectionResetError
        answer = web.StreamResponse(
            status=status, headers={**headers, "Content-Length": str(len(data))}
        )
        await answer.prepare(request)
        await answer.write(data[: len(data) // 2])
        if fault == "stalled":
            await asyncio.Event().wait()
        request.transport.abort()
        return answer


@asynccontextmanager
async def faulty_s3(target: str, **told: object) -> AsyncIterator[tuple[FaultyS3, str]]:
    """Stand before a server; yields the double and its address."""
    double = FaultyS3(target, **told)  # type: ignore[arg-type]
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", double.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield double, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
