"""A live HLS origin on loopback: serves a looped list of segments in real time.

Law: binds to one address alone, loopback unless told otherwise; what it answers, `live_stream`
decides, and a hook may spoil it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from aiohttp import web

from ops.demo.live_stream import Asked, LiveStream, OriginSegment, Reply, StreamShape

Spoil = Callable[[Asked, Reply, float], Reply | None]
"""Changes an answer (asked, reply, Unix time); None drops the connection without a word."""

_DRAIN_S = 1.0


def _leave(asked: Asked, reply: Reply, now_s: float) -> Reply:
    return reply


class LiveOrigin:
    """An async context: serves for as long as it is open."""

    def __init__(
        self,
        segments: Sequence[OriginSegment],
        *,
        shape: StreamShape | None = None,
        clock: Callable[[], float] = time.time,
        spoil: Spoil = _leave,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """`clock` tells Unix seconds; `host` is an IPv4 address; port 0 takes a free one."""
        self._segments = segments
        self._shape = shape or StreamShape()
        self._clock = clock
        self._spoil = spoil
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self.stream: LiveStream | None = None
        """Set while serving."""

    async def __aenter__(self) -> Self:
        early_s = sum(s.duration_s for s in self._segments[: self._shape.listed_at_start])
        self.stream = LiveStream(self._segments, self._clock() - early_s, self._shape)
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_DRAIN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """Address of the server."""
        return f"http://{self._host}:{self._port}"

    @property
    def live_url(self) -> str:
        """The live stream's multivariant playlist."""
        return f"{self.base_url}/live.m3u8"

    @property
    def vod_url(self) -> str:
        """The same segments, once, as a VOD."""
        return f"{self.base_url}/vod.m3u8"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert self.stream is not None  # requests come while serving
        asked = self.stream.asked(request.path)
        if asked is None:
            return web.Response(status=404, text="not found")
        now_s = self._clock()
        reply = self._spoil(asked, self.stream.reply(asked, now_s), now_s)
        if reply is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        return await _send(request, reply)


async def _send(request: web.Request, reply: Reply) -> web.StreamResponse:
    body, status, headers = reply.body, reply.status, {"Content-Type": reply.content_type}
    span = request.http_range
    if status == 200 and span.start is not None:
        start, stop, _ = span.indices(len(body))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        body, status = body[start:stop], 206
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) - reply.cut] if reply.cut else body)
    if reply.cut and request.transport is not None:
        request.transport.abort()
    else:
        await response.write_eof()
    return response
