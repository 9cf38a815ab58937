"""Answers of the control plane that never arrive, and questions that arrive late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from store.leases import Beat, LeasesAway, Want
from tests.store.leases.world import (
    World,
    client,
    finished,
    make_control_app,
    open_world,
    want_renders,
    work,
)
from tests.store.state.fresh import fresh_database

RENDERS = Want(kind="render", capacity=2)


class Line(httpx.AsyncBaseTransport):
    """A line to the control plane that can swallow answers, and hold questions back."""

    def __init__(self, world: World) -> None:
        self.plane = httpx.ASGITransport(make_control_app(world.book, world.numbers))
        self.swallows = False
        self.held_back: list[httpx.Request] = []
        self.holds_back = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asks = request.url.path.endswith("/acquire")
        if asks and self.holds_back:
            self.held_back.append(request)
            raise httpx.ReadTimeout("the question is still on its way")
        answer = await self.plane.handle_async_request(request)
        if asks and self.swallows:
            await answer.aread()
            raise httpx.ReadTimeout("the answer is lost")
        return answer


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as opened:
        yield opened


async def test_what_was_given_without_being_heard_of_is_given_again(world: World) -> None:
    await want_renders(world.book, "r1", "r2", "r3")
    line = Line(world)
    async with client("w", line) as worker:
        line.swallows = True
        for _ in range(3):
            with pytest.raises(LeasesAway):
                await worker.acquire(RENDERS)
        line.swallows = False
        leases = await worker.acquire(RENDERS)
        assert [(lease.id, lease.token) for lease in leases] == [("r1", 4), ("r2", 4)]
        (third,) = await worker.acquire(RENDERS)
        assert (third.id, third.token) == ("r3", 1)
        assert (await worker.heartbeat([*leases, third])).lost == ()
        await worker.complete(leases[0], work(finished(leases[0])))
    assert world.numbers.counted("clipthat_leases_given_again_total", kind="render") == 6
    assert world.numbers.counted("clipthat_leases_lost_total", kind="render") == 0


async def test_what_a_worker_knows_is_not_given_again(world: World) -> None:
    await want_renders(world.book, "r1", "r2")
    now_s = 0.0
    async with client("w", Line(world), clock=lambda: now_s) as worker:
        held = await worker.acquire(RENDERS)
        for _ in range(20):
            now_s += 10
            world.clock.now_s += 10
            assert await worker.acquire(RENDERS) == []
            assert await worker.heartbeat(held) == Beat(kept={"r1": 30.0, "r2": 30.0})


async def test_questions_at_once_do_not_take_from_each_other(world: World) -> None:
    await want_renders(world.book, "r1", "r2", "r3", "r4")
    async with client("w", Line(world)) as worker:
        answers = await asyncio.gather(*(worker.acquire(RENDERS) for _ in range(3)))
        held = [lease for leases in answers for lease in leases]
        assert sorted(lease.id for lease in held) == ["r1", "r2", "r3", "r4"]
        assert (await worker.heartbeat(held)).lost == ()


async def test_a_question_that_arrives_late_takes_nothing(world: World) -> None:
    await want_renders(world.book, "r1", "r2", "r3")
    line = Line(world)
    async with client("w", line) as worker:
        line.holds_back = True
        with pytest.raises(LeasesAway):
            await worker.acquire(RENDERS)
        line.holds_back = False
        held = await worker.acquire(RENDERS)
        (late,) = line.held_back
        answer = await line.plane.handle_async_request(late)
        await answer.aread()
        assert answer.json() == {"leases": []}
        assert (await worker.heartbeat(held)).lost == ()
    assert [lease.id for lease in await world.book.acquire("b", RENDERS)] == ["r3"]


async def test_a_worker_of_another_run_is_no_late_one(tmp_path: Path) -> None:
    async with open_world(await fresh_database(tmp_path)) as world:
        await want_renders(world.book, "r1", "r2")
        line = Line(world)
        for token in (1, 2, 3):
            async with client("w", line) as worker:
                leases = await worker.acquire(RENDERS)
                assert [(lease.id, lease.token) for lease in leases] == [
                    ("r1", token),
                    ("r2", token),
                ]
