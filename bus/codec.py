"""Events to bytes and back: one JSON object with its `type`.

Law: what has once been written can always be read. Readers leave out fields that they do not know
and fill optional ones that are missing; nothing else is forgiven.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import orjson

from bus.errors import MalformedEvent, UnknownEvent
from bus.events import EVENTS, Event
from bus.fields import Decode, Misfit, dataclass_decoder

VALUE_BYTES_MAX = 1_000_000
"""The largest value that a bus takes; brokers have a limit of about one mebibyte."""


def encode(event: Event) -> bytes:
    """Return the event as a JSON object whose first member is `type`.

    Raises:
        MalformedEvent: a field holds what its annotation does not allow (a number that is not
            finite, a foreign type), or the value is larger than `VALUE_BYTES_MAX`.
    """
    try:
        fields = orjson.dumps(event)
    except TypeError as error:
        raise MalformedEvent(f"{event.TYPE}: {error}") from error
    value = b'{"type":"%b",%b' % (event.TYPE.encode(), fields[1:])
    if len(value) > VALUE_BYTES_MAX:
        raise MalformedEvent(f"{event.TYPE} has {len(value)} bytes, more than {VALUE_BYTES_MAX}")
    if b"null" in fields and decode(value) != event:
        # JSON has no NaN: it turns into null, which would poison the reader instead of us.
        raise MalformedEvent(f"{event.TYPE} {event.event_id} does not survive JSON: {event}")
    return value


def decode(value: bytes) -> Event:
    """Return the event that these bytes tell.

    Raises:
        UnknownEvent: the type is none of ours.
        MalformedEvent: not JSON, no type, a field is missing or of another type.
    """
    try:
        told = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise MalformedEvent(f"not JSON: {error}") from error
    name = told.get("type") if isinstance(told, dict) else None
    if not isinstance(name, str):
        raise MalformedEvent("the value names no type")
    decode_fields = _decoders().get(name)
    if decode_fields is None:
        raise UnknownEvent(f"{name!r} is no event of this version")
    try:
        event: Event = decode_fields(told)
    except Misfit as misfit:
        raise MalformedEvent(f"{name}: {misfit}") from misfit
    return event


def headers(
    event: Event, *, at_s: float, source: str = "clipthat", traceparent: str | None = None
) -> list[tuple[str, bytes]]:
    """Return the CloudEvents 1.0 headers of the binary mode.

    Args:
        event: what the value tells.
        at_s: Unix time at which it is published.
        source: URI reference of the part that publishes.
        traceparent: W3C trace context, when there is one.
    """
    told = [
        ("ce_specversion", "1.0"),
        ("ce_id", event.event_id),
        ("ce_source", source),
        ("ce_type", event.TYPE),
        ("ce_subject", event.session_id),
        ("ce_time", datetime.fromtimestamp(at_s, UTC).isoformat()),
        ("ce_tenantid", event.tenant_id),
        ("content-type", "application/json"),
    ]
    if traceparent is not None:
        told.append(("traceparent", traceparent))
    return [(name, text.encode()) for name, text in told]


@cache
def _decoders() -> Mapping[str, Decode]:
    return {event.TYPE: dataclass_decoder(event) for event in EVENTS}
