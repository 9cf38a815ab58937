"""A chat event made into what somebody said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chat.eventsub_said import said
from ingest.chat.line import hashed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


def event(**changes: Any) -> dict[str, Any]:
    fragments = [
        {"type": "text", "text": "well "},
        {"type": "emote", "text": "Kappa", "emote": {"id": "25"}},
        {"type": "text", "text": " "},
        {"type": "emote", "text": "LUL", "emote": {"id": "425618"}},
    ]
    return {
        "broadcaster_user_id": "42",
        "chatter_user_id": "7",
        "chatter_user_login": "ana",
        "chatter_user_name": "Ana",
        "message_id": "m-1",
        "message": {"text": "well Kappa LUL", "fragments": fragments},
        "badges": [
            {"set_id": "subscriber", "id": "12", "info": "16"},
            {"set_id": "moderator", "id": "1", "info": ""},
        ],
    } | changes


def test_a_message() -> None:
    one = said(event(), 1_700_000_003.5)
    assert one is not None
    line = one.line(3.5)
    assert (line.t_s, line.text, line.role) == (3.5, "well Kappa LUL", "moderator")
    assert (line.message_id, line.sent_s) == ("m-1", 1_700_000_003.5)
    assert line.emotes == ("Kappa", "LUL")
    assert line.user == hashed("ana")  # the same hash as over IRC, whose prefix is the login


def test_an_action_is_its_words() -> None:
    one = said(event(message={"text": "\x01ACTION waves\x01", "fragments": []}), None)
    assert one is not None
    assert one.text == "waves"


@pytest.mark.parametrize("missing", ["message", "chatter_user_login", "message_id"])
def test_without_its_heart_it_is_nothing(missing: str) -> None:
    whole = event()
    del whole[missing]
    assert said(whole, 1.0) is None


@pytest.mark.parametrize("missing", ["badges", "chatter_user_name", "broadcaster_user_id"])
def test_what_else_is_missing_costs_nothing(missing: str) -> None:
    whole = event()
    del whole[missing]
    assert said(whole, 1.0) is not None


@given(
    st.dictionaries(
        st.sampled_from(["message", "chatter_user_login", "message_id", "badges"]), JSON
    ),
    st.dictionaries(st.sampled_from(["text", "fragments"]), JSON),
)
@settings(max_examples=200)
def test_nothing_raises(changes: dict[str, Any], message: dict[str, Any]) -> None:
    for each in (event() | changes, event(message=message)):
        one = said(each, None)
        if one is not None:
            one.line(0.0)
