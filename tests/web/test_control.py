"""The control API: who is let in, what is refused, and how."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from store.control_settings import ControlSettings
from store.obstore_objects import open_objects
from tests.store.leases.world import (
    CONTROL,
    SECRET,
    TENANT,
    World,
    make_control_app,
    open_world,
    want_renders,
)
from tests.store.state.fresh import fresh_database
from tests.web.conftest import Clock
from web.app import make_app
from web.control import HELD_MAX
from web.control_door import BODY_BYTES_MAX
from web.errors import WorkerRefused
from web.health import Health
from web.settings import WebSettings
from web.worker_tokens import Worker, WorkerTokens

WORKER = {"name": "w-1", "kinds": ["render"], "pool": "cpu"}
ACQUIRE = {"kind": "render", "capacity": 1}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(await fresh_database(tmp_path)) as opened:
        yield opened


def asker(world: World, settings: ControlSettings = CONTROL, **told: Any) -> httpx.AsyncClient:
    app = make_control_app(world.book, world.numbers, settings, **told)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://any-name/control/v1"
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def let_in(client: httpx.AsyncClient, **changed: Any) -> str:
    answer = await client.post("/workers", json={**WORKER, **changed}, headers=bearer(SECRET))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


async def test_a_worker_is_let_in_for_ten_minutes(world: World) -> None:
    clock = Clock()
    async with asker(world, clock=clock) as client:
        answer = await client.post("/workers", json=WORKER, headers=bearer(SECRET))
        assert (answer.status_code, answer.json()["expires_in_s"]) == (201, 600)
        token = answer.json()["token"]
        header, claims = (
            json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]
        )
        assert header == {"alg": "HS256", "typ": "JWT"}
        assert claims.pop("jti")
        assert claims == {
            "aud": "clipthat control",
            "sub": "w-1",
            "tenant": TENANT,
            "kinds": ["render"],
            "pool": "cpu",
            "iat": 1_000_000,
            "exp": 1_000_600,
        }
        for now_s, status in ((1_000_604.0, 200), (1_000_606.0, 401)):
            clock.now_s = now_s
            asked = await client.post("/leases/acquire", json=ACQUIRE, headers=bearer(token))
            assert asked.status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer("wrong" * 10),
        bearer(SECRET + "x"),
        bearer(SECRET[:-1]),
        bearer("x" * 100_000),
        {"Authorization": SECRET},
        {"Authorization": f"Basic {SECRET}"},
    ],
)
async def test_nobody_is_let_in_without_the_secret(world: World, headers: dict[str, str]) -> None:
    async with asker(world) as client:
        answer = await client.post("/workers", json=WORKER, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    told = answer.json()
    assert (told["status"], told["title"]) == (401, "Unauthorized")
    assert "control.secret" in told["detail"]
    assert SECRET not in answer.text


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
async def test_a_secret_that_could_be_guessed_lets_nobody_in(world: World, secret: str) -> None:
    async with asker(world, replace(CONTROL, secret=secret)) as client:
        answer = await client.post("/workers", json=WORKER, headers=bearer(secret))
    assert answer.status_code == 403
    assert "set control.secret" in answer.json()["detail"]
    assert world.numbers.counted("clipthat_control_refused_total", reason="off") == 1


def forged(key: str = SECRET, alg: str = "HS256", **changed: Any) -> str:
    claims = {"aud": "clipthat control", "sub": "w", "tenant": TENANT, "kinds": ["render"]}
    claims |= {"pool": "cpu", "iat": 1_000_000, "exp": 1_000_600, **changed}
    return jwt.encode({"alg": alg}, claims, OctKey.import_key(key), algorithms=[alg])


def unsigned() -> str:
    parts = [{"alg": "none", "typ": "JWT"}, {"sub": "w", "tenant": TENANT, "kinds": ["render"]}]
    told = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return b".".join([*told, b""]).decode()


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", SECRET, forged(), forged(alg="HS512"), unsigned(), "é.é.é"]
)
async def test_only_our_own_tokens_are_good(world: World, token: str) -> None:
    async with asker(world, clock=Clock()) as client:
        for path in ("acquire", "heartbeat", "complete", "release"):
            answer = await client.post(
                f"/leases/{path}",
                content=b"{}",
                headers={"Authorization": f"Bearer {token}".encode()},
            )
            assert answer.status_code == 401, answer.text
            assert not token or len(token) < 3 or token not in answer.text
    assert world.numbers.counted("clipthat_control_refused_total", reason="token") == 4


async def test_a_changed_token_is_not_good(world: World) -> None:
    async with asker(world) as client:
        head, body, signature = (await let_in(client)).split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        claims["kinds"] = ["ingest", "render"]
        more = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        answer = await client.post(
            "/leases/acquire", json=ACQUIRE, headers=bearer(f"{head}.{more}.{signature}")
        )
    assert answer.status_code == 401


def test_a_token_says_for_what_it_is_and_nothing_else() -> None:
    tokens = WorkerTokens(SECRET, 600.0)
    worker = Worker(name="w", kinds=frozenset({"render"}), pool="gpu", tenant_id=TENANT)
    assert tokens.read(tokens.make(worker, 1_000.0), 1_000.0) == worker
    for wrong in ({"pool": "x"}, {"kinds": "render"}, {"kinds": ["x"]}, {"sub": ""}):
        claims = {"aud": "clipthat control", "sub": "w", "tenant": TENANT, "kinds": ["render"]}
        claims |= {"pool": "cpu", "iat": 1_000, "exp": 1_600, **wrong}
        token = jwt.encode({"alg": "HS256"}, claims, tokens._key, algorithms=["HS256"])
        with pytest.raises(WorkerRefused):
            tokens.read(token, 1_000.0)


async def test_a_worker_gets_only_the_kinds_it_was_let_in_for(world: World) -> None:
    await world.book.want("ingest", "ch1", {"url": "u"})
    held = {"kind": "ingest", "id": "ch1", "token": 1}
    async with asker(world) as client:
        token = await let_in(client)
        for path, body in (
            ("acquire", {"kind": "ingest", "capacity": 1}),
            ("heartbeat", {"held": [held]}),
            ("complete", {**held, "result": {}}),
            ("release", held),
        ):
            answer = await client.post(f"/leases/{path}", json=body, headers=bearer(token))
            assert (answer.status_code, answer.json()["detail"]) == (
                403,
                "This worker was not let in for ingest.",
            )


async def test_a_worker_of_another_tenant_is_refused(world: World) -> None:
    tokens = WorkerTokens(SECRET, 600.0)
    worker = Worker(name="w", kinds=frozenset({"render"}), pool="cpu", tenant_id="other")
    async with asker(world, clock=Clock()) as client:
        answer = await client.post(
            "/leases/acquire", json=ACQUIRE, headers=bearer(tokens.make(worker, 1_000_000.0))
        )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("acquire", {}),
        ("acquire", {"kind": "render", "capacity": -1}),
        ("acquire", {"kind": "render", "capacity": 1_001}),
        ("acquire", {"kind": "sleep", "capacity": 1}),
        ("acquire", [1]),
        ("heartbeat", {"held": [{"kind": "render", "id": "r", "token": 1}] * (HELD_MAX + 1)}),
        ("heartbeat", {"held": [{"kind": "render", "id": "", "token": 1}]}),
        ("heartbeat", {"held": [{"kind": "render", "id": "x" * 201, "token": 1}]}),
        ("heartbeat", {"held": [{"kind": "render", "id": "r", "token": 0}]}),
        ("heartbeat", {"held": [{"kind": "render", "id": "r", "token": 2**31}]}),
        ("complete", {"kind": "render", "id": "r", "token": 1, "result": []}),
        ("complete", {"kind": "render", "id": "r", "token": 1, "result": {"type": "nothing"}}),
        ("release", {"kind": "render", "id": "r", "token": 1, "reason": "x" * 201}),
    ],
)
async def test_what_does_not_fit_is_refused(world: World, path: str, body: Any) -> None:
    async with asker(world) as client:
        token = await let_in(client)
        answer = await client.post(f"/leases/{path}", json=body, headers=bearer(token))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["", "x" * 101, "a b", "a/b", "ä", "a\n"])
async def test_a_worker_has_a_name_that_can_be_shown(world: World, name: str) -> None:
    async with asker(world) as client:
        answer = await client.post(
            "/workers", json={**WORKER, "name": name}, headers=bearer(SECRET)
        )
    assert answer.status_code == 422


async def test_a_body_has_a_limit(world: World) -> None:
    async with asker(world) as client:
        token = await let_in(client)
        answer = await client.post(
            "/leases/complete", content=b" " * (BODY_BYTES_MAX + 1), headers=bearer(token)
        )
    assert answer.status_code == 413


async def test_a_body_is_not_read_for_a_stranger(world: World) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b" " * 65_536

    app = make_control_app(world.book, world.numbers)
    sent: list[dict[str, Any]] = []
    told = body()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(told), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/control/v1/leases/complete",
        "raw_path": b"/control/v1/leases/complete",
        "query_string": b"",
        "headers": [(b"host", b"control"), (b"authorization", b"Bearer x")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("control", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    await app(scope, receive, send)
    assert (sent[0]["status"], read) == (401, 0)


async def test_a_late_writer_is_told_409(world: World) -> None:
    await want_renders(world.book, "r1")
    async with asker(world) as client:
        token = await let_in(client)
        answer = await client.post(
            "/leases/complete",
            json={"kind": "render", "id": "r1", "token": 7, "result": RESULT},
            headers=bearer(token),
        )
    assert (answer.status_code, answer.json()["title"]) == (409, "Conflict")


RESULT = {
    "type": "clipthat.render.failed.v1",
    "tenant_id": TENANT,
    "channel_id": "ch1",
    "session_id": "s1",
    "event_id": "",
    "render_id": "r1",
    "clip_id": "c1",
    "layout": "vertical_blur",
    "reason": "source_missing",
    "detail": "",
}


async def test_there_is_no_control_api_where_none_is_wanted(world: World) -> None:
    app = make_app(
        world.state, open_objects("memory://"), WebSettings(), lambda: Health(ok=True), bytes
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost"
    ) as client:
        answer = await client.post("/control/v1/workers", json=WORKER, headers=bearer(SECRET))
    assert answer.status_code == 404


async def test_the_secret_shows_nowhere(world: World) -> None:
    assert SECRET not in repr(CONTROL)
    async with asker(world) as client:
        token = await let_in(client)
        for path in ("workers", "leases/acquire", "leases/nothing"):
            for told in (SECRET, token):
                answer = await client.post(f"/{path}", content=b"?", headers=bearer(told))
                assert SECRET not in answer.text
                assert token not in answer.text
