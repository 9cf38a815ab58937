"""A machine that is about to be taken away says so in several ways, and each is heard."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from bus.ports import SilentMeter
from ops.preemption import FileNotice, Preemption, SignalNotice, open_notices
from ops.preemption_clouds import AwsNotice, GcpNotice, Notice
from ops.preemption_settings import PreemptionSettings
from tests.doubles.hand_timer import HandTimer

LIMIT_S = 60.0


@dataclass
class Gcp:
    """Google's metadata server: an answer waits until the value has another tag than the asked."""

    preempted: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    broken: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def etag(self) -> str:
        return "after" if self.preempted else "before"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        self.news.set()
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        if self.broken:
            return web.Response(status=503)
        if request.query.get("wait_for_change") == "true":
            while request.query["last_etag"] == self.etag:
                await self.changed.wait()
        text = "TRUE" if self.preempted else "FALSE"
        return web.Response(text=text, headers={"ETag": self.etag, "Metadata-Flavor": "Google"})

    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def preempt(self) -> None:
        self.preempted = True
        self.changed.set()

    @property
    def routes(self) -> list[web.RouteDef]:
        return [web.get("/computeMetadata/v1/instance/preempted", self.answer)]


@dataclass
class Aws:
    """Amazon's metadata server, which wants a token of its own making."""

    action: str = ""
    token: str = "first"
    granted: list[str] = field(default_factory=list)
    looks: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def grant(self, request: web.Request) -> web.Response:
        self.granted.append(request.headers["X-aws-ec2-metadata-token-ttl-seconds"])
        return web.Response(text=self.token)

    async def answer(self, request: web.Request) -> web.Response:
        self.looks += 1
        self.news.set()
        if request.headers.get("X-aws-ec2-metadata-token") != self.token:
            return web.Response(status=401)
        if not self.action:
            return web.Response(status=404)
        return web.json_response({"action": self.action, "time": "2026-11-21T13:00:00Z"})

    @property
    def routes(self) -> list[web.RouteDef]:
        return [
            web.put("/latest/api/token", self.grant),
            web.get("/latest/meta-data/spot/instance-action", self.answer),
        ]


@asynccontextmanager
async def serving(server: Gcp | Aws) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    application = web.Application()
    application.add_routes(server.routes)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            yield f"http://{host}:{port}", client
    finally:
        await runner.cleanup()


async def heard(notice: Notice, then: Callable[[], Awaitable[None]]) -> bool:
    """Wait for a notice, have something happen, and say whether the notice has come of that."""
    waiting = asyncio.create_task(notice.wait())
    await then()
    async with asyncio.timeout(LIMIT_S):
        await waiting
    return await notice.is_there()


async def test_google_tells_at_once_because_the_question_waits() -> None:
    server = Gcp()
    async with serving(server) as (url, client):
        notice = GcpNotice(client, url)
        assert not await notice.is_there()

        async def then() -> None:
            while len(server.asked) < 2:
                server.news.clear()
                await server.news.wait()
            server.preempt()

        assert await heard(notice, then)
    assert server.asked[1]["wait_for_change"] == "true"
    assert server.asked[1]["last_etag"] == "before"
    assert int(server.asked[1]["timeout_sec"]) > 0


async def test_google_is_asked_again_when_it_fails_and_a_change_meanwhile_is_seen() -> None:
    server, timer = Gcp(broken=True), Bell()
    async with serving(server) as (url, client):
        notice = GcpNotice(client, url, timer.sleep)

        async def then() -> None:
            await timer.rings()
            server.broken = False
            server.preempt()
            timer.advance(60.0)

        assert await heard(notice, then)


class Bell(HandTimer):
    """Rings when somebody goes to sleep; the answer of a server is what comes before."""

    def __init__(self) -> None:
        super().__init__()
        self._rings = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._rings.set()
        await super().sleep(seconds)

    async def rings(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            await self._rings.wait()
        self._rings.clear()
        await asyncio.sleep(0)


async def test_amazon_is_asked_with_a_token_and_with_a_new_one_when_that_is_too_old() -> None:
    server, timer = Aws(), Bell()
    async with serving(server) as (url, client):
        notice = AwsNotice(client, url, 2.0, timer.sleep)

        async def then() -> None:
            await timer.rings()
            server.token = "second"
            timer.advance(60.0)
            await timer.rings()
            server.action = "terminate"
            timer.advance(60.0)

        assert await heard(notice, then)
    assert server.granted == ["21600", "21600"]


async def test_a_metadata_server_that_is_not_there_is_no_notice() -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for notice in (
            GcpNotice(client, "http://127.0.0.1:9"),
            AwsNotice(client, "http://[::1]:9"),
        ):
            assert not await notice.is_there()


async def test_a_file_is_a_notice_once_it_is_there(tmp_path: Path) -> None:
    timer, path = Bell(), tmp_path / "leave"
    notice = FileNotice(path, 2.0, timer.sleep)
    assert not await notice.is_there()

    async def then() -> None:
        await timer.rings()
        path.touch()
        timer.advance(2.0)

    assert await heard(notice, then)


async def test_a_notice_gives_back_first_and_drains_then() -> None:
    leave, draining = asyncio.Event(), asyncio.Event()
    watching = asyncio.create_task(
        Preemption([SignalNotice(signal.SIGUSR2)], leave).watch(draining, SilentMeter())
    )
    for _ in range(10):
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGUSR2)
    async with asyncio.timeout(LIMIT_S):
        await watching
    assert leave.is_set()
    assert draining.is_set()


async def test_a_drain_is_no_notice() -> None:
    leave, draining = asyncio.Event(), asyncio.Event()
    draining.set()
    await Preemption([SignalNotice(signal.SIGUSR2)], leave).watch(draining, SilentMeter())
    assert not leave.is_set()


@pytest.mark.parametrize("told", [True, False])
async def test_what_has_been_told_before_the_start_is_known(tmp_path: Path, told: bool) -> None:
    path = tmp_path / "leave"
    if told:
        path.touch()
    async with open_notices(PreemptionSettings(file=str(path), provider="aws")) as notices:
        assert [notice.name for notice in notices] == ["signal", "file", "aws"]
        assert await Preemption(notices[:2], asyncio.Event()).is_over() == told
