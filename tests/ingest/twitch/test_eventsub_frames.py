"""What the event socket says, understood or not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.twitch.eventsub_frames import (
    Keepalive,
    Moved,
    Notified,
    Revoked,
    Unclear,
    Welcome,
    parse_frame,
    unix_s,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def frame(kind: str, payload: Any, **metadata: Any) -> bytes:
    head = {"message_id": "d-1", "message_type": kind, **metadata}
    return orjson.dumps({"metadata": head, "payload": payload})


def test_a_welcome() -> None:
    session = {"id": "s-1", "status": "connected", "keepalive_timeout_seconds": 10}
    assert parse_frame(frame("session_welcome", {"session": session})) == Welcome("s-1", 10.0)


@pytest.mark.parametrize(
    "session",
    [{}, {"id": "s"}, {"id": "s", "keepalive_timeout_seconds": True}, {"id": 3}, [], None],
)
def test_a_welcome_without_a_session_is_none(session: object) -> None:
    assert isinstance(parse_frame(frame("session_welcome", {"session": session})), Unclear)


def test_a_keepalive() -> None:
    assert parse_frame(frame("session_keepalive", {})) == Keepalive()


def test_a_move() -> None:
    url = "wss://eventsub.wss.twitch.tv/ws?x=1"
    assert parse_frame(frame("session_reconnect", {"session": {"reconnect_url": url}})) == Moved(
        url
    )


@pytest.mark.parametrize("url", [None, "", "http://x/", "wss://", "ws://[", 4])
def test_a_move_to_nowhere_is_not_followed(url: object) -> None:
    text = frame("session_reconnect", {"session": {"reconnect_url": url}})
    assert isinstance(parse_frame(text), Unclear)


def test_a_notification() -> None:
    event = {"broadcaster_user_id": "42", "x": 1}
    text = frame(
        "notification",
        {"subscription": {"type": "stream.online"}, "event": event},
        subscription_type="stream.online",
        message_timestamp="2023-11-14T22:13:20.5Z",
    )
    assert parse_frame(text) == Notified("d-1", "stream.online", "42", 1_700_000_000.5, event)


def test_a_notification_whose_event_names_no_channel_is_of_its_condition() -> None:
    subscription = {"type": "stream.online", "condition": {"broadcaster_user_id": "42"}}
    text = frame("notification", {"subscription": subscription, "event": {"x": 1}})
    assert parse_frame(text) == Notified("d-1", "stream.online", "42", None, {"x": 1})


def test_a_revocation() -> None:
    subscription = {
        "type": "channel.chat.message",
        "status": "authorization_revoked",
        "condition": {"broadcaster_user_id": "42"},
    }
    assert parse_frame(frame("revocation", {"subscription": subscription})) == Revoked(
        "channel.chat.message", "42", "authorization_revoked"
    )


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000.123456),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T22:13:20", None),
        ("yesterday", None),
        (7, None),
    ],
)
def test_timestamps(timestamp: object, expected: float | None) -> None:
    assert unix_s(timestamp) == expected


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_text_raises(text: str | bytes) -> None:
    parse_frame(text)


@given(
    st.sampled_from(
        ["session_welcome", "session_reconnect", "notification", "revocation", "x", None, 3]
    ),
    st.dictionaries(st.sampled_from(["session", "subscription", "event", "x"]), JSON) | JSON,
    JSON,
)
@settings(max_examples=300)
def test_no_frame_raises(kind: object, payload: object, timestamp: object) -> None:
    metadata = {"message_type": kind, "message_timestamp": timestamp, "message_id": timestamp}
    parse_frame(orjson.dumps({"metadata": metadata, "payload": payload}))
