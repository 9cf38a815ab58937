"""The control API: lets workers on other machines in, hands them leases, and tells of them all.

Law: who asks is known by its token alone, and nothing of a body is looked at before; a lease
changes by its token or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from starlette.exceptions import HTTPException

from bus.ports import Meter, SilentMeter
from store.control_settings import SECRET_CHARS_MIN, ControlSettings
from store.leases import Kind, Lease, LeaseLost, LeasesAway, LeasesRefused, Pool, Want
from store.state.fleet import Fleet
from store.state.fleet_views import FleetViews
from store.state.lease_choice import Question
from store.state.leases import LeaseBook
from store.state.local_leases import LocalLeases
from web.errors import WorkerRefused
from web.worker_tokens import Worker, WorkerTokens

PREFIX = "/control/v1"
BODY_BYTES_MAX = 1_048_576
TOKEN_CHARS_MAX = 4_096
HELD_MAX = 1_000
"""So many leases a worker renews at once."""
CAPACITY_MAX = 1_000

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class NewWorker(_Body):
    """A worker that wants to be let in."""

    name: Name
    kinds: list[Kind] = Field(min_length=1, max_length=2)
    pool: Pool = "cpu"


class Held(_Body):
    """A lease as its holder names it."""

    kind: Kind
    id: Id
    token: int = Field(ge=1, lt=2**31)


class Acquire(_Body):
    """Ask for work."""

    kind: Kind
    capacity: int = Field(ge=0, le=CAPACITY_MAX)
    slots: int = Field(default=0, ge=0, le=CAPACITY_MAX)
    """As in Want; so is `draining`."""
    draining: bool = False
    run: str = Field(default="", max_length=100)
    """As in Question; so are `number` and `known`."""
    number: int = Field(default=0, ge=0, lt=2**31)
    known: list[Held] = Field(default=[], max_length=HELD_MAX)

    def question(self) -> Question | None:
        """Return what the worker says of itself; None when it says nothing."""
        if not self.run:
            return None
        known = frozenset((held.id, held.token) for held in self.known if held.kind == self.kind)
        return Question(run=self.run, number=self.number, known=known)


class Heartbeat(_Body):
    """What a worker holds."""

    held: list[Held] = Field(max_length=HELD_MAX)


class Complete(Held):
    """What has come of a lease."""

    result: dict[str, Any]


class Release(Held):
    """A lease that is given back."""

    reason: str = Field(default="", max_length=200)


Model = TypeVar("Model", bound=_Body)
FLEET = TypeAdapter(Fleet)
"""The fleet as JSON, there and back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlAccess:
    """What the control API works on."""

    book: LeaseBook
    settings: ControlSettings
    meter: Meter = field(default_factory=SilentMeter)
    clock: Callable[[], float] = time.time
    """Gives Unix time, for the life of tokens alone."""


def control_routes(access: ControlAccess) -> APIRouter:
    """Return the API for workers."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)
    door = _Door(access)
    _add_workers(router, door)
    _add_looking(router, access, door)
    _add_taking(router, door)
    _add_giving(router, door)
    return router


class _Door:
    """Lets workers in, by secret once and by token from then on."""

    def __init__(self, access: ControlAccess) -> None:
        self.book = access.book
        self.clock = access.clock
        self.tokens = WorkerTokens(access.settings.secret, access.settings.token_s)
        self._meter = access.meter

    def bootstrap(self, request: Request) -> None:
        """Check the bootstrap secret."""
        if not self.tokens.ready:
            raise self._refusal(
                403,
                "off",
                "This control plane takes no workers: set control.secret on it, "
                f"{SECRET_CHARS_MIN} characters at least.",
            )
        if not self.tokens.knows(_bearer(request)):
            raise self._refusal(
                401, "secret", "control.secret of this worker is not that of the control plane."
            )

    def worker(self, request: Request) -> Worker:
        """Return who asks."""
        try:
            worker = self.tokens.read(_bearer(request), self.clock())
        except WorkerRefused as error:
            raise self._refusal(401, "token", f"Ask for a new token: {error}.") from None
        if worker.tenant_id != self.book.tenant_id:
            raise self._refusal(403, "tenant", "This worker was let in for another tenant.")
        return worker

    def leases(self, request: Request) -> tuple[Worker, LocalLeases]:
        """Return who asks, and its leases."""
        worker = self.worker(request)
        return worker, LocalLeases(self.book, worker.name)

    def check_kinds(self, worker: Worker, kinds: Collection[Kind]) -> None:
        """Refuse a worker that was not let in for such work."""
        if not set(kinds) <= worker.kinds:
            told = ", ".join(sorted(set(kinds) - worker.kinds))
            raise self._refusal(403, "kind", f"This worker was not let in for {told}.")

    def _refusal(self, status: int, reason: str, detail: str) -> HTTPException:
        self._meter.count("clipthat_control_refused_total", reason=reason)
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        return HTTPException(status, detail, headers)


def _add_workers(router: APIRouter, door: _Door) -> None:
    @router.post("/workers")
    async def workers(request: Request) -> Response:
        """Let a worker in for some minutes."""
        door.bootstrap(request)
        told = await _read(request, NewWorker)
        worker = Worker(
            name=told.name,
            kinds=frozenset(told.kinds),
            pool=told.pool,
            tenant_id=door.book.tenant_id,
        )
        token = door.tokens.make(worker, door.clock())
        return JSONResponse({"token": token, "expires_in_s": door.tokens.life_s}, 201)


def _add_looking(router: APIRouter, access: ControlAccess, door: _Door) -> None:
    views = FleetViews.of(access.book)

    @router.get("/workers")
    async def fleet(request: Request) -> Response:
        """Tell whoever knows the secret of the workers and of what waits for them."""
        door.bootstrap(request)
        return Response(FLEET.dump_json(await views.read()), media_type="application/json")


def _add_taking(router: APIRouter, door: _Door) -> None:
    @router.post("/leases/acquire")
    async def acquire(request: Request) -> Response:
        """Give a worker what it may have."""
        worker = door.worker(request)
        told = await _read(request, Acquire)
        door.check_kinds(worker, [told.kind])
        leases = LocalLeases(door.book, worker.name, told.question())
        with _told():
            given = await leases.acquire(
                Want(
                    kind=told.kind,
                    capacity=told.capacity,
                    pool=worker.pool,
                    slots=told.slots,
                    draining=told.draining,
                )
            )
        return JSONResponse({"leases": [_as_json(lease) for lease in given]})

    @router.post("/leases/heartbeat")
    async def heartbeat(request: Request) -> Response:
        """Renew what a worker holds."""
        worker, leases = door.leases(request)
        told = await _read(request, Heartbeat)
        door.check_kinds(worker, {held.kind for held in told.held})
        with _told():
            beat = await leases.heartbeat([_lease(held, worker) for held in told.held])
        return JSONResponse({"kept": beat.kept, "lost": beat.lost, "stop": beat.stop})


def _add_giving(router: APIRouter, door: _Door) -> None:
    @router.post("/leases/complete")
    async def complete(request: Request) -> Response:
        """Take in a result."""
        worker, leases = door.leases(request)
        told = await _read(request, Complete)
        door.check_kinds(worker, [told.kind])
        with _told():
            await leases.complete(_lease(told, worker), told.result)
        return Response(status_code=204)

    @router.post("/leases/release")
    async def release(request: Request) -> Response:
        """Take work back undone."""
        worker, leases = door.leases(request)
        told = await _read(request, Release)
        door.check_kinds(worker, [told.kind])
        with _told():
            await leases.release(_lease(told, worker), told.reason)
        return Response(status_code=204)


def _bearer(request: Request) -> str:
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    return told if scheme.lower() == "bearer" and len(told) <= TOKEN_CHARS_MAX else ""


async def _read(request: Request, model: type[Model]) -> Model:
    """Return what a body says.

    Raises:
        HTTPException: 413, it is too long; 422, it does not fit.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise HTTPException(413, f"A body has {BODY_BYTES_MAX} bytes at most.")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HTTPException(422, f"{where or 'The body'}: {first['msg']}.") from None


@contextmanager
def _told() -> Iterator[None]:
    """Answer what the book refuses: 409 lost, 422 no result, 503 away."""
    try:
        yield
    except LeaseLost as error:
        raise HTTPException(409, str(error)) from error
    except LeasesRefused as error:
        raise HTTPException(422, str(error)) from error
    except LeasesAway as error:
        detail = "The database cannot be reached. Try again in a moment."
        raise HTTPException(503, detail, {"Retry-After": "1"}) from error


def _lease(held: Held, worker: Worker) -> Lease:
    return Lease(
        kind=held.kind, id=held.id, token=held.token, good_for_s=0.0, tenant_id=worker.tenant_id
    )


def _as_json(lease: Lease) -> dict[str, Any]:
    return {
        "kind": lease.kind,
        "id": lease.id,
        "token": lease.token,
        "good_for_s": lease.good_for_s,
        "tenant_id": lease.tenant_id,
        "work": lease.work,
    }
