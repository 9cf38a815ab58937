"""The port of leases over HTTP: how a worker on another machine reaches the control plane.

Law: every call ends within its limit; the secret and the token stand in a header and nowhere else,
and no error text repeats them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from store.control_settings import SECRET_CHARS_MIN, ControlSettings
from store.leases import Beat, Kind, Lease, LeaseLost, LeasesAway, LeasesRefused, Pool, Want

PREFIX = "/control/v1"
ANSWER_BYTES_MAX = 32_000_000
DETAIL_CHARS_MAX = 300
RENEW_AT = 0.8
"""A token is renewed when this share of its life has passed."""
KEPT_OPEN_S = 4.0
"""An idle connection is closed before the server closes it, which it does after 5 s: a request that
meets a closing connection would be lost."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A lease that this worker has heard of."""

    token: int
    until_s: float
    """By then it has let go of it, if it has not renewed it."""


class ControlLeases:
    """Implements store.leases.Leases. Made by `ControlLeases.open`.

    `good_for_s` counts from before the call, so the caller looks at its clock first.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: ControlSettings,
        worker: Mapping[str, Any],
        pool: Pool,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._settings = settings
        self._worker = worker
        self._pool = pool
        self._clock = clock
        self._token = ""
        self._renew_at_s = 0.0
        self._minting = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._run = secrets.token_hex(8)
        self._questions = 0
        self._known: dict[tuple[Kind, str], _Known] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: ControlSettings,
        *,
        worker: str,
        kinds: Collection[Kind],
        pool: Pool = "cpu",
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> AsyncIterator[ControlLeases]:
        """Keep connections for as long as the context is open; nothing is asked yet.

        Args:
            settings: where the control plane is, and the secret.
            worker: a name that no other process has: 1 to 100 letters, digits and `._:-`.
            kinds: what it will ask for.
            pool: what kind of machine it is.
            transport: how requests are made; by the network when None.
            clock: gives seconds that never go back.

        Raises:
            LeasesRefused: `control.url` or `control.secret` is missing or of no use.
        """
        async with _connection(settings, transport) as client:
            told = {"name": worker, "kinds": sorted(kinds), "pool": pool}
            yield cls(client, settings, told, pool, clock)

    async def acquire(self, want: Want) -> list[Lease]:
        """As `Leases.acquire`."""
        if want.pool != self._pool:
            raise LeasesRefused(
                f"this worker was let in for the pool {self._pool}, not {want.pool}"
            )
        async with self._asking:
            # One question at a time: what a second one does not know yet would be given again.
            told = await self.ask("leases/acquire", self._question(want))
            try:
                leases = [Lease(**each) for each in told["leases"]]
            except (KeyError, TypeError) as error:
                raise _foreign() from error
            self._know(leases)
        return leases

    async def heartbeat(self, held: Sequence[Lease]) -> Beat:
        """As `Leases.heartbeat`."""
        self._know(held)
        told = await self.ask("leases/heartbeat", {"held": [_named(lease) for lease in held]})
        try:
            return Beat(
                kept={str(name): float(good_for_s) for name, good_for_s in told["kept"].items()},
                lost=tuple(told["lost"]),
                stop=tuple(told["stop"]),
                connected=_connected(told.get("connected")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _foreign() from error

    async def complete(self, lease: Lease, result: Mapping[str, Any]) -> None:
        """As `Leases.complete`."""
        await self.ask("leases/complete", {**_named(lease), "result": dict(result)})
        self._forget(lease)

    async def release(self, lease: Lease, reason: str) -> None:
        """As `Leases.release`."""
        await self.ask("leases/release", {**_named(lease), "reason": reason[:200]})
        self._forget(lease)

    def _question(self, want: Want) -> dict[str, Any]:
        """Return a question with the leases that this worker may hold, so far as it knows."""
        now_s = self._clock()
        self._known = {key: one for key, one in self._known.items() if one.until_s > now_s}
        self._questions += 1
        return {
            "kind": want.kind,
            "capacity": want.capacity,
            "slots": want.slots,
            "draining": want.draining,
            "run": self._run,
            "number": self._questions,
            "known": [
                {"kind": kind, "id": work_id, "token": one.token}
                for (kind, work_id), one in self._known.items()
                if kind == want.kind
            ],
        }

    def _know(self, leases: Sequence[Lease]) -> None:
        """Remember leases for longer than a worker may hold them without a heartbeat."""
        now_s = self._clock()
        for lease in leases:
            known = self._known.get((lease.kind, lease.id))
            if known is None or known.token <= lease.token:
                until_s = now_s + 2 * lease.good_for_s
                self._known[lease.kind, lease.id] = _Known(lease.token, until_s)

    def _forget(self, lease: Lease) -> None:
        known = self._known.get((lease.kind, lease.id))
        if known is not None and known.token == lease.token:
            del self._known[lease.kind, lease.id]

    async def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask with a token; with a new one when the control plane does not know it any more.

        Raises:
            LeaseLost, LeasesAway, LeasesRefused: the answer is no, or none.
        """
        token = await self._current()
        answer = await self._send(path, body, token)
        if answer.status_code == 401:
            answer = await self._send(path, body, await self._current(instead_of=token))
        return _told(answer)

    async def _current(self, *, instead_of: str = "") -> str:
        """Return a token that is good for some time, and another one than that."""
        async with self._minting:
            if self._token == instead_of or self._clock() >= self._renew_at_s:
                asked_at_s = self._clock()
                told = _told(await self._send("workers", self._worker, self._settings.secret))
                try:
                    self._token = str(told["token"])
                    self._renew_at_s = asked_at_s + RENEW_AT * float(told["expires_in_s"])
                except (KeyError, TypeError, ValueError) as error:
                    raise _foreign() from error
            return self._token

    async def _send(self, path: str, body: Mapping[str, Any], bearer: str) -> httpx.Response:
        request = self._client.build_request(
            "POST",
            f"{PREFIX}/{path}",
            content=orjson.dumps(body),
            headers={"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
        )
        return await _exchange(self._client, request, self._settings.timeout_s)


async def read_workers(
    settings: ControlSettings, *, transport: httpx.AsyncBaseTransport | None = None
) -> dict[str, Any]:
    """Return what the control plane tells of its workers and of what waits for them.

    Args:
        settings: where it is, and the secret.
        transport: how the request is made; by the network when None.

    Raises:
        LeasesAway: it does not answer.
        LeasesRefused: `control.url` or `control.secret` is missing or of no use.
    """
    async with _connection(settings, transport) as client:
        bearer = {"Authorization": f"Bearer {settings.secret}"}
        request = client.build_request("GET", f"{PREFIX}/workers", headers=bearer)
        return _told(await _exchange(client, request, settings.timeout_s))


def _connection(
    settings: ControlSettings, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=_address(settings),
        timeout=httpx.Timeout(settings.timeout_s, connect=settings.connect_timeout_s),
        limits=httpx.Limits(max_connections=10, keepalive_expiry=KEPT_OPEN_S),
        trust_env=False,
        transport=transport,
    )


async def _exchange(
    client: httpx.AsyncClient, request: httpx.Request, limit_s: float
) -> httpx.Response:
    """Return the whole answer.

    Raises:
        LeasesAway: there is none within the limit, or it is too long.
    """
    text = b""
    try:
        async with asyncio.timeout(limit_s):
            answer = await client.send(request, stream=True)
            try:
                async for part in answer.aiter_bytes():
                    text += part
                    if len(text) > ANSWER_BYTES_MAX:
                        raise LeasesAway("the control plane's answer is longer than any should be")
            finally:
                await answer.aclose()
    except (httpx.HTTPError, OSError, TimeoutError) as error:
        raise LeasesAway(f"the control plane cannot be reached ({type(error).__name__})") from None
    return httpx.Response(answer.status_code, content=text)


def _address(settings: ControlSettings) -> str:
    if not settings.url:
        raise LeasesRefused("set control.url: the address of the control plane")
    try:
        address = httpx.URL(settings.url)
    except httpx.InvalidURL as error:
        raise LeasesRefused("control.url is no address") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise LeasesRefused("control.url is no address; write http://HOST:PORT or https://HOST")
    if len(settings.secret) < SECRET_CHARS_MIN:
        raise LeasesRefused(
            f"set control.secret, the same as on the control plane: {SECRET_CHARS_MIN} characters"
            " at least"
        )
    if not settings.secret.isascii() or not settings.secret.isprintable():
        raise LeasesRefused("control.secret has characters that no header takes; use ASCII alone")
    return settings.url.rstrip("/")


def _connected(told: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return what a control plane says that speaks of it; an older one does not."""
    return None if told is None else tuple(str(each) for each in told)


def _named(lease: Lease) -> dict[str, Any]:
    return {"kind": lease.kind, "id": lease.id, "token": lease.token}


def _told(answer: httpx.Response) -> dict[str, Any]:
    """Return what an answer says.

    Raises:
        LeaseLost, LeasesAway, LeasesRefused: it says no.
    """
    status = answer.status_code
    if status == 204:
        return {}
    told = _object(answer)
    if status in (200, 201) and told is not None:
        return told
    if status >= 500 or status in (408, 429) or 200 <= status < 300:
        raise LeasesAway(f"the control plane answered {status}")
    detail = "" if told is None else str(told.get("detail", ""))[:DETAIL_CHARS_MAX]
    if status == 409:
        raise LeaseLost(detail)
    if status in (401, 403, 413, 422) and detail:
        raise LeasesRefused(detail)
    raise LeasesRefused(f"control.url leads to no control plane: it answered {status}")


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        told = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None
    return told if isinstance(told, dict) else None


def _foreign() -> LeasesAway:
    return LeasesAway("the control plane's answer is not what this version understands")
