"""What Twitch's event socket says: text in, one of six things out.

Law: pure, no socket and no clock. Nothing that the server writes raises: what is not understood is
`Unclear`, so that one bad frame costs itself and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import orjson


@dataclass(frozen=True, slots=True)
class Welcome:
    """The session is open; subscriptions name it by its id."""

    session_id: str
    keepalive_s: float
    """The server says something at least so often."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Nothing has happened."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The session goes on at another address, with its subscriptions."""

    url: str


@dataclass(frozen=True, slots=True)
class Notified:
    """Something has happened in a channel."""

    id: str
    """The delivery's id: one that comes again is the same event again."""
    type: str
    """The subscription's type, such as `channel.chat.message`."""
    broadcaster_id: str
    sent_s: float | None
    """Unix time at which the server sent it, when it says so."""
    event: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Revoked:
    """A subscription has ended for good."""

    type: str
    broadcaster_id: str
    status: str
    """Why: `authorization_revoked`, `user_removed`, `version_removed`, `moderator_removed` …"""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A frame that cannot be understood."""

    why: str


Frame = Welcome | Keepalive | Moved | Notified | Revoked | Unclear


def parse_frame(text: str | bytes) -> Frame:
    """Return what a frame of the server says."""
    try:
        frame = _mapping(orjson.loads(text))
    except orjson.JSONDecodeError:
        return Unclear("no JSON")
    metadata = _mapping(frame.get("metadata"))
    payload = _mapping(frame.get("payload"))
    match metadata.get("message_type"):
        case "session_keepalive":
            return Keepalive()
        case "notification":
            return _notified(metadata, payload)
        case "session_welcome":
            return _welcome(_mapping(payload.get("session")))
        case "session_reconnect":
            return _moved(_mapping(payload.get("session")))
        case "revocation":
            return _revoked(_mapping(payload.get("subscription")))
        case _:
            return Unclear("unknown type")


def unix_s(timestamp: object) -> float | None:
    """Return the Unix time of a timestamp such as `2023-11-06T18:11:47.492253549Z`, or None."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _welcome(session: Mapping[str, object]) -> Frame:
    session_id = _text(session.get("id"))
    keepalive_s = session.get("keepalive_timeout_seconds")
    if (
        not session_id
        or isinstance(keepalive_s, bool)
        or not isinstance(keepalive_s, int | float)
        or not math.isfinite(keepalive_s)
        or keepalive_s <= 0
    ):
        return Unclear("welcome without a session")
    return Welcome(session_id, float(keepalive_s))


def _moved(session: Mapping[str, object]) -> Frame:
    url = _text(session.get("reconnect_url"))
    try:
        parts = urlsplit(url)
    except ValueError:
        return Unclear("reconnect without an address")
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        return Unclear("reconnect without an address")
    return Moved(url)


def _notified(metadata: Mapping[str, object], payload: Mapping[str, object]) -> Frame:
    subscription = _mapping(payload.get("subscription"))
    event = _mapping(payload.get("event"))
    kind = _text(metadata.get("subscription_type")) or _text(subscription.get("type"))
    broadcaster_id = _text(event.get("broadcaster_user_id")) or _broadcaster(subscription)
    if not kind or not broadcaster_id or not event:
        return Unclear("notification without its event")
    return Notified(
        id=_text(metadata.get("message_id")),
        type=kind,
        broadcaster_id=broadcaster_id,
        sent_s=unix_s(metadata.get("message_timestamp")),
        event=event,
    )


def _revoked(subscription: Mapping[str, object]) -> Frame:
    kind = _text(subscription.get("type"))
    if not kind:
        return Unclear("revocation without its subscription")
    return Revoked(kind, _broadcaster(subscription), _text(subscription.get("status")))


def _broadcaster(subscription: Mapping[str, object]) -> str:
    return _text(_mapping(subscription.get("condition")).get("broadcaster_user_id"))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
