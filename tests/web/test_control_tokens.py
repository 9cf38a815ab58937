"""The control API's tokens of connected channels: who is given one, and how."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.control_tokens import ControlTokens
from store.leases import Lease
from store.twitch.errors import TokensAway
from store.twitch.tokens import UserToken, mark_of
from tests.store.leases.lent_world import ANN, CHANNELS, LentWorld, lent_world
from tests.store.leases.world import SECRET, client, make_control_app
from tests.store.state.fresh import fresh_database
from tests.store.state.twitch_world import BOTH

PATH = "/control/v1/twitch/token"


@pytest.fixture
async def lent(tmp_path: Path) -> AsyncIterator[LentWorld]:
    async with lent_world(await fresh_database(tmp_path)) as opened:
        yield opened


def plane(lent: LentWorld) -> httpx.ASGITransport:
    world = lent.world
    return httpx.ASGITransport(make_control_app(world.book, world.numbers, lent=lent.lent))


@asynccontextmanager
async def asking(lent: LentWorld, *kinds: str) -> AsyncIterator[httpx.AsyncClient]:
    """Ask as the worker `a`, let in for these kinds."""
    async with httpx.AsyncClient(transport=plane(lent), base_url="http://control") as asked:
        told = {"name": "a", "kinds": kinds or ["ingest"]}
        headers = {"Authorization": f"Bearer {SECRET}"}
        answer = await asked.post("/control/v1/workers", json=told, headers=headers)
        asked.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield asked


def named(lease: Lease, **more: Any) -> dict[str, Any]:
    return {"kind": lease.kind, "id": lease.id, "token": lease.token, **more}


async def test_a_token_is_given_in_one_answer_that_nobody_keeps(lent: LentWorld) -> None:
    access = await lent.connect()
    lease = await lent.take()
    async with asking(lent) as asked:
        answer = await asked.post(PATH, json=named(lease))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "user_id": "id of ann",
        "login": "ann",
        "access_token": access,
        "scopes": sorted(BOTH),
        "client_id": "app",
    }
    given = [secret for secret in lent.twitch.double.issued if secret in answer.text]
    assert given == [access], "what renews it stays here"


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"token": 9}, 409, "not this worker's"),
        ({"id": "id-bob"}, 409, "not this worker's"),
        ({"kind": "render"}, 403, "not let in for render"),
        ({"refused": "short"}, 422, "refused"),
        ({"refused": "X" * 64}, 422, "refused"),
        ({"token": 0}, 422, "token"),
        ({"id": ""}, 422, "id"),
    ],
)
async def test_what_is_refused_says_why_and_nothing_else(
    lent: LentWorld, changed: dict[str, Any], status: int, said: str
) -> None:
    access = await lent.connect()
    lease = await lent.take()
    async with asking(lent) as asked:
        answer = await asked.post(PATH, json=named(lease, **changed))
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert access not in answer.text


async def test_without_a_workers_token_nothing_is_given(lent: LentWorld) -> None:
    await lent.connect()
    lease = await lent.take()
    async with asking(lent) as asked:
        for bearer in ("", SECRET, "a.b.c"):
            headers = {"Authorization": f"Bearer {bearer}"}
            assert (await asked.post(PATH, json=named(lease), headers=headers)).status_code == 401
    async with asking(lent, "render") as asked:
        assert (await asked.post(PATH, json=named(lease))).status_code == 403


async def test_who_is_not_connected_is_a_refusal_and_a_login_that_is_away_is_none(
    lent: LentWorld,
) -> None:
    lease = await lent.take()
    async with asking(lent) as asked:
        answer = await asked.post(PATH, json=named(lease))
        assert (answer.status_code, "not connected" in answer.text) == (403, True)
        access = await lent.connect()
        lent.twitch.double.broken = 503
        answer = await asked.post(PATH, json=named(lease, refused=mark_of(access)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_control_plane_without_accounts_has_no_such_route(lent: LentWorld) -> None:
    lent.lent = None  # type: ignore[assignment]
    async with asking(lent) as asked:
        assert (await asked.post(PATH, json={})).status_code == 404


async def test_a_worker_far_away_is_lent_the_very_token(
    lent: LentWorld, caplog: pytest.LogCaptureFixture
) -> None:
    access = await lent.connect()
    await lent.world.book.want("ingest", ANN.id, ANN.as_json())
    with caplog.at_level(logging.DEBUG):
        async with client("a", plane(lent)) as control:
            (lease,) = await control.acquire(CHANNELS)
            tokens = ControlTokens(control)
            token = await tokens.lend(lease)
            lent.twitch.double.end(access)
            fresh = await tokens.lend(lease, mark_of(access))
            assert fresh is not None
            await lent.accounts.disconnect("id of ann")
            assert await tokens.lend(lease) is None
            lent.world.clock.now_s += lease.good_for_s
            with pytest.raises(TokensAway):
                await tokens.lend(lease)
    assert token == UserToken(
        user_id="id of ann",
        login="ann",
        access_token=access,
        scopes=frozenset(BOTH),
        client_id="app",
    )
    assert asdict(fresh) == {**asdict(token), "access_token": fresh.access_token}
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert not [secret for secret in lent.twitch.double.issued if secret in logged]
