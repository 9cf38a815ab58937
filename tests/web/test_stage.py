"""The web stage: it listens where it is told, and stops when it is told."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from bus.local import LocalBus
from bus.stage import Ctx
from tests.web.conftest import SiteUnderTest
from web.app import make_app
from web.health import Health
from web.settings import WebSettings
from web.stage import Web


def make_stage(site: SiteUnderTest, settings: WebSettings) -> Web:
    app = make_app(site.state, site.objects, settings, lambda: Health(ok=True), lambda: b"")
    return Web(app, settings)


async def test_serves_until_drained_and_again(empty_site: SiteUnderTest, tmp_path: Path) -> None:
    stage = make_stage(empty_site, WebSettings(port=0))
    before = signal.getsignal(signal.SIGTERM)
    async with LocalBus.open(tmp_path / "bus.db") as bus, asyncio.timeout(30):
        for _ in range(2):
            ctx = Ctx(bus=bus)
            async with asyncio.TaskGroup() as group:
                group.create_task(stage.run(ctx))
                address = await stage.address()
                assert address.startswith("http://127.0.0.1:")
                assert not address.endswith(":0")
                async with httpx.AsyncClient(base_url=address) as client:
                    assert (await client.get("/healthz")).status_code == 200
                    assert "server" not in (await client.get("/")).headers
                assert signal.getsignal(signal.SIGTERM) is before
                ctx.draining.set()
            with pytest.raises(httpx.ConnectError):
                async with httpx.AsyncClient() as client:
                    await client.get(address)


async def test_a_taken_port_is_told(empty_site: SiteUnderTest, tmp_path: Path) -> None:
    async with LocalBus.open(tmp_path / "bus.db") as bus, asyncio.timeout(30):
        ctx = Ctx(bus=bus)
        async with asyncio.TaskGroup() as group:
            first = make_stage(empty_site, WebSettings(port=0))
            group.create_task(first.run(ctx))
            port = int((await first.address()).rpartition(":")[2])
            with pytest.raises(OSError, match="in use"):
                await make_stage(empty_site, WebSettings(port=port)).run(ctx)
            ctx.draining.set()


async def test_a_cancelled_stage_lets_go_of_its_port(
    empty_site: SiteUnderTest, tmp_path: Path
) -> None:
    async with LocalBus.open(tmp_path / "bus.db") as bus, asyncio.timeout(30):
        stage = make_stage(empty_site, WebSettings(port=0))
        running = asyncio.create_task(stage.run(Ctx(bus=bus)))
        address = await stage.address()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient() as client:
                await client.get(address)
