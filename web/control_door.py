"""The door of the control API: who may come in, what is read of them, how a refusal is told.

Law: who asks is known by its token alone, and nothing of a body is looked at before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.exceptions import HTTPException

from bus.ports import Meter, SilentMeter
from store.control_settings import SECRET_CHARS_MIN, ControlSettings
from store.leases import Kind, Lease, LeaseLost, LeasesAway, LeasesRefused
from store.state.errors import StateUnavailable
from store.state.leases import LeaseBook
from store.state.lent_tokens import LentTokens
from store.state.local_leases import LocalLeases
from store.twitch.errors import NotLent, TokensAway
from web.errors import WorkerRefused
from web.worker_tokens import Worker, WorkerTokens

BODY_BYTES_MAX = 1_048_576
TOKEN_CHARS_MAX = 4_096

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Body(BaseModel):
    """What a worker says; what a newer one says besides is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Held(Body):
    """A lease as its holder names it."""

    kind: Kind
    id: Id
    token: int = Field(ge=1, lt=2**31)


Model = TypeVar("Model", bound=Body)


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlAccess:
    """What the control API works on."""

    book: LeaseBook
    settings: ControlSettings
    lent: LentTokens | None = None
    """Lends the tokens of connected channels; none are lent where it is missing."""
    meter: Meter = field(default_factory=SilentMeter)
    clock: Callable[[], float] = time.time
    """Gives Unix time, for the life of tokens alone."""


class Door:
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


def _bearer(request: Request) -> str:
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    return told if scheme.lower() == "bearer" and len(told) <= TOKEN_CHARS_MAX else ""


async def read_body(request: Request, model: type[Model]) -> Model:
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
def told_refusals() -> Iterator[None]:
    """Answer what is refused: 403 no token, 409 lost, 422 no result, 503 away."""
    try:
        yield
    except NotLent as error:
        raise HTTPException(403, str(error)) from error
    except LeaseLost as error:
        raise HTTPException(409, str(error)) from error
    except LeasesRefused as error:
        raise HTTPException(422, str(error)) from error
    except TokensAway as error:
        raise HTTPException(503, f"{error}.", {"Retry-After": "1"}) from error
    except (LeasesAway, StateUnavailable) as error:
        detail = "The database cannot be reached. Try again in a moment."
        raise HTTPException(503, detail, {"Retry-After": "1"}) from error


def lease_of(held: Held, worker: Worker) -> Lease:
    """Return the lease that a worker names."""
    return Lease(
        kind=held.kind, id=held.id, token=held.token, good_for_s=0.0, tenant_id=worker.tenant_id
    )
