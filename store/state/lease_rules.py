"""Who is given how much, and what counts as a result.

Law: no clock and no database; what is decided here follows from its arguments alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from bus.codec import decode, encode
from bus.errors import MalformedEvent, UnknownEvent
from bus.events import Event, RenderFailed, RenderFinished, RenderQueued
from store.keys import tenant_folder
from store.leases import LeasesRefused, Pool

WORKER_LOST = "worker_lost"
"""Why a render has failed that has lost its worker too often."""
REASONS = ("drain", "preempted", "failed")
"""Why work is given back, as it is counted; all else is `other`."""


def fair_share(capacity: int, *, free: int, mine: int, others: int, asking: int) -> int:
    """Return how many pieces a worker is given, so that no other one is left with too few.

    Args:
        capacity: how many it can take.
        free: how many nobody holds.
        mine: how many it holds.
        others: how many are held by other workers that have room and ask too.
        asking: how many such workers there are.
    """
    share = -(-(free + mine + others) // (asking + 1))
    return max(0, min(capacity, free, share - mine))


def may_fall_back(pool: Pool, policy: Literal["cpu", "dedicated", "never"]) -> bool:
    """Say whether a worker of a pool takes what waits in vain for one with a GPU."""
    return policy == "cpu" or (policy == "dedicated" and pool == "dedicated")


def render_result(
    result: Mapping[str, Any], *, render_id: str, tenant_id: str
) -> RenderFinished | RenderFailed:
    """Return the event that a worker hands in for a render.

    Raises:
        LeasesRefused: it is no result of this render, or names objects of another tenant.
    """
    try:
        event = decode(orjson.dumps(result))
    except (MalformedEvent, UnknownEvent, TypeError) as error:
        raise LeasesRefused(f"the result is no event: {error}") from error
    if not isinstance(event, RenderFinished | RenderFailed):
        raise LeasesRefused(f"{event.TYPE} is no result of a render")
    if (event.render_id, event.tenant_id) != (render_id, tenant_id):
        raise LeasesRefused("the result is that of another render")
    if isinstance(event, RenderFinished):
        folder = tenant_folder(tenant_id)
        keys = (event.output_key, event.thumbnail_key, event.captions_key)
        if not all(key.startswith(folder) for key in keys if key is not None):
            raise LeasesRefused("the result names objects of another tenant")
    # The id follows from what the event tells, whatever a worker says of it.
    return dataclasses.replace(event, event_id="")


def queued_render(work: Mapping[str, Any]) -> RenderQueued:
    """Return the event that a render's work is.

    Raises:
        MalformedEvent: it is none.
    """
    queued = decode(orjson.dumps(work))
    if not isinstance(queued, RenderQueued):
        raise MalformedEvent(f"{queued.TYPE} is no render to be made")
    return queued


def lost_result(work: Mapping[str, Any], lost: int) -> RenderFailed:
    """Return what is told of a render that has lost its worker too often.

    Raises:
        MalformedEvent: the work is no RenderQueued.
    """
    queued = queued_render(work)
    return RenderFailed(
        tenant_id=queued.tenant_id,
        channel_id=queued.channel_id,
        session_id=queued.session_id,
        render_id=queued.render_id,
        clip_id=queued.clip_id,
        layout=queued.layout,
        reason=WORKER_LOST,
        detail=f"{lost} workers were lost while they made it",
    )


def as_json(event: Event) -> dict[str, Any]:
    """Return an event as the bus codec writes it."""
    told: dict[str, Any] = orjson.loads(encode(event))
    return told
