"""The client of the control API: its token, its limits, and how it tells what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from store.control_client import ControlLeases
from store.control_settings import ControlSettings
from store.leases import Beat, Lease, LeaseLost, LeasesAway, LeasesRefused, Want
from tests.store.leases.world import CONTROL, SECRET, client

RENDERS = Want(kind="render", capacity=3)
HELD = Lease(kind="render", id="r1", token=4, good_for_s=30.0, tenant_id="acme")


class Plane:
    """A control plane that answers as it is told, and remembers what it was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response] | None = None) -> None:
        self.answer = answer or (lambda _: httpx.Response(200, json={"leases": []}))
        self.asked: list[str] = []
        self.tokens = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        told = request.headers["authorization"].removeprefix("Bearer ")
        self.asked.append(f"{request.url.path.removeprefix('/control/v1/')} {told}")
        if request.url.path.endswith("/workers") and self.tokens >= 0:
            self.tokens += 1
            return httpx.Response(201, json={"token": f"t{self.tokens}", "expires_in_s": 600})
        return self.answer(request)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_token_is_asked_for_once_and_renewed_before_its_end() -> None:
    plane, clock = Plane(), Clock()
    async with client("w", httpx.MockTransport(plane), clock=clock) as leases:
        assert plane.asked == []
        await asyncio.gather(*(leases.acquire(RENDERS) for _ in range(3)))
        assert plane.asked == [f"workers {SECRET}", *["leases/acquire t1"] * 3]
        clock.now_s = 479.0
        await leases.acquire(RENDERS)
        clock.now_s = 480.0
        await leases.acquire(RENDERS)
    assert plane.asked[4:] == ["leases/acquire t1", f"workers {SECRET}", "leases/acquire t2"]


async def test_a_token_that_is_not_taken_is_renewed_once() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        good = request.headers["authorization"] == "Bearer t2"
        return httpx.Response(200, json={"leases": []}) if good else httpx.Response(401, json={})

    plane = Plane(answer)
    async with client("w", httpx.MockTransport(plane)) as leases:
        assert await leases.acquire(RENDERS) == []
        assert plane.tokens == 2
        plane.answer = lambda _: httpx.Response(401, json={"detail": "no"})
        with pytest.raises(LeasesRefused, match="no"):
            await leases.acquire(RENDERS)
        assert plane.tokens == 3


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (409, {"detail": "changed hands"}, LeaseLost, "changed hands"),
        (403, {"detail": "not let in"}, LeasesRefused, "not let in"),
        (422, {"detail": "no result"}, LeasesRefused, "no result"),
        (403, None, LeasesRefused, "control.url leads to no control plane"),
        (404, {"detail": "Not Found"}, LeasesRefused, "control.url"),
        (421, None, LeasesRefused, "control.url"),
        (302, None, LeasesRefused, "control.url"),
        (500, None, LeasesAway, "500"),
        (502, {"detail": "x"}, LeasesAway, "502"),
        (503, {"detail": "x"}, LeasesAway, "503"),
        (429, None, LeasesAway, "429"),
        (200, None, LeasesAway, "200"),
        (200, {"nothing": 1}, LeasesAway, "not what this version"),
        (200, {"leases": [{"id": "r1"}]}, LeasesAway, "not what this version"),
        (200, {"leases": 1}, LeasesAway, "not what this version"),
    ],
)
async def test_answers(status: int, body: object, error: type[Exception], said: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        if body is None:
            return httpx.Response(status, text="<html>")
        return httpx.Response(status, json=body)

    async with client("w", httpx.MockTransport(Plane(answer))) as leases:
        with pytest.raises(error, match=said):
            await leases.acquire(RENDERS)


async def test_what_is_no_beat_is_told() -> None:
    for body in ({}, {"kept": [], "lost": [], "stop": []}, {"kept": {"r": "x"}, "lost": []}):
        plane = Plane(lambda _, body=body: httpx.Response(200, json=body))  # type: ignore[misc]
        async with client("w", httpx.MockTransport(plane)) as leases:
            with pytest.raises(LeasesAway):
                await leases.heartbeat([HELD])


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), OSError("x"), TimeoutError()]
)
async def test_a_network_that_fails_is_told_as_away(error: Exception) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    async with client("w", httpx.MockTransport(Plane(answer))) as leases:
        for call in (
            leases.acquire(RENDERS),
            leases.heartbeat([HELD]),
            leases.complete(HELD, {}),
            leases.release(HELD, "drain"),
        ):
            with pytest.raises(LeasesAway, match="cannot be reached") as caught:
                await call
            assert SECRET not in str(caught.value)


async def test_an_answer_that_never_ends_is_given_up() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"{"
            await asyncio.Event().wait()

    plane = Plane(lambda _: httpx.Response(200, stream=Endless()))
    settings = replace(CONTROL, timeout_s=0.05)
    async with client("w", httpx.MockTransport(plane), settings=settings) as leases:
        with pytest.raises(LeasesAway):
            await leases.acquire(RENDERS)


async def test_a_beat_comes_as_it_was_sent() -> None:
    told = {"kept": {"r1": 30}, "lost": ["r2"], "stop": ["r3"], "more": 1}
    beat = Beat(kept={"r1": 30.0}, lost=("r2",), stop=("r3",))
    plane = Plane(lambda _: httpx.Response(200, json=told))
    async with client("w", httpx.MockTransport(plane)) as leases:
        assert await leases.heartbeat([HELD]) == beat
        told["connected"] = ["r1"]
        assert await leases.heartbeat([HELD]) == replace(beat, connected=("r1",))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": ""}, "set control.url"),
        ({"url": "control:8420"}, "control.url is no address"),
        ({"url": "http://"}, "control.url is no address"),
        ({"url": "http://control:port"}, "control.url is no address"),
        ({"url": "ftp://control"}, "control.url is no address"),
        ({"secret": ""}, "set control.secret"),
        ({"secret": "x" * 31}, "set control.secret"),
        ({"secret": "ü" * 40}, "ASCII"),
        ({"secret": "x\n" * 40}, "ASCII"),
    ],
)
async def test_settings_that_cannot_work_are_told_at_once(
    changed: dict[str, str], said: str
) -> None:
    settings: ControlSettings = replace(CONTROL, **changed)  # type: ignore[arg-type]
    with pytest.raises(LeasesRefused, match=said) as caught:
        async with ControlLeases.open(settings, worker="w", kinds=["render"]):
            pass
    assert not settings.secret or settings.secret not in str(caught.value)


async def test_a_worker_asks_for_its_own_pool_alone() -> None:
    async with client("w", httpx.MockTransport(Plane())) as leases:
        with pytest.raises(LeasesRefused, match="pool"):
            await leases.acquire(Want(kind="render", capacity=1, pool="gpu"))
