"""The control API: lets workers on other machines in, hands them leases, and tells of them all.

Law: a lease changes by its token or not at all.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, TypeAdapter

from store.leases import Kind, Lease, Pool, Want
from store.state.fleet import Fleet
from store.state.fleet_views import FleetViews
from store.state.lease_choice import Question
from store.state.local_leases import LocalLeases
from web.control_door import (
    Body,
    ControlAccess,
    Door,
    Held,
    Name,
    lease_of,
    read_body,
    told_refusals,
)
from web.control_tokens import add_tokens
from web.worker_tokens import Worker

PREFIX = "/control/v1"
HELD_MAX = 1_000
"""So many leases a worker renews at once."""
CAPACITY_MAX = 1_000


class NewWorker(Body):
    """A worker that wants to be let in."""

    name: Name
    kinds: list[Kind] = Field(min_length=1, max_length=2)
    pool: Pool = "cpu"


class Acquire(Body):
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


class Heartbeat(Body):
    """What a worker holds."""

    held: list[Held] = Field(max_length=HELD_MAX)


class Complete(Held):
    """What has come of a lease."""

    result: dict[str, Any]


class Release(Held):
    """A lease that is given back."""

    reason: str = Field(default="", max_length=200)


FLEET = TypeAdapter(Fleet)
"""The fleet as JSON, there and back."""


def control_routes(access: ControlAccess) -> APIRouter:
    """Return the API for workers."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)
    door = Door(access)
    _add_workers(router, door)
    _add_looking(router, access, door)
    _add_taking(router, door)
    _add_giving(router, door)
    if access.lent is not None:
        add_tokens(router, door, access.lent)
    return router


def _add_workers(router: APIRouter, door: Door) -> None:
    @router.post("/workers")
    async def workers(request: Request) -> Response:
        """Let a worker in for some minutes."""
        door.bootstrap(request)
        told = await read_body(request, NewWorker)
        worker = Worker(
            name=told.name,
            kinds=frozenset(told.kinds),
            pool=told.pool,
            tenant_id=door.book.tenant_id,
        )
        token = door.tokens.make(worker, door.clock())
        return JSONResponse({"token": token, "expires_in_s": door.tokens.life_s}, 201)


def _add_looking(router: APIRouter, access: ControlAccess, door: Door) -> None:
    views = FleetViews.of(access.book)

    @router.get("/workers")
    async def fleet(request: Request) -> Response:
        """Tell whoever knows the secret of the workers and of what waits for them."""
        door.bootstrap(request)
        return Response(FLEET.dump_json(await views.read()), media_type="application/json")


def _add_taking(router: APIRouter, door: Door) -> None:
    @router.post("/leases/acquire")
    async def acquire(request: Request) -> Response:
        """Give a worker what it may have."""
        worker = door.worker(request)
        told = await read_body(request, Acquire)
        door.check_kinds(worker, [told.kind])
        leases = LocalLeases(door.book, worker.name, told.question())
        with told_refusals():
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
        told = await read_body(request, Heartbeat)
        door.check_kinds(worker, {held.kind for held in told.held})
        with told_refusals():
            beat = await leases.heartbeat([lease_of(held, worker) for held in told.held])
        return JSONResponse(
            {
                "kept": beat.kept,
                "lost": beat.lost,
                "stop": beat.stop,
                "connected": beat.connected,
            }
        )


def _add_giving(router: APIRouter, door: Door) -> None:
    @router.post("/leases/complete")
    async def complete(request: Request) -> Response:
        """Take in a result."""
        worker, leases = door.leases(request)
        told = await read_body(request, Complete)
        door.check_kinds(worker, [told.kind])
        with told_refusals():
            await leases.complete(lease_of(told, worker), told.result)
        return Response(status_code=204)

    @router.post("/leases/release")
    async def release(request: Request) -> Response:
        """Take work back undone."""
        worker, leases = door.leases(request)
        told = await read_body(request, Release)
        door.check_kinds(worker, [told.kind])
        with told_refusals():
            await leases.release(lease_of(told, worker), told.reason)
        return Response(status_code=204)


def _as_json(lease: Lease) -> dict[str, Any]:
    return {
        "kind": lease.kind,
        "id": lease.id,
        "token": lease.token,
        "good_for_s": lease.good_for_s,
        "tenant_id": lease.tenant_id,
        "work": lease.work,
    }
