"""The names in twitchio that we lean on; a new version that moves one fails here."""

from __future__ import annotations

import inspect
from dataclasses import replace

import twitchio
from twitchio.http import HTTPClient, Route

from ingest.twitch.eventsub_api import (
    CHAT,
    CHAT_DELETED,
    CHAT_USER_CLEARED,
    OFFLINE,
    ONLINE,
    EventSubApi,
    Want,
    _subscription,
)
from store.twitch.settings import TwitchSettings


def test_the_version_is_the_one_that_was_read() -> None:
    assert twitchio.__version__ == "3.3.2"


async def test_its_servers_are_the_ones_that_are_set() -> None:
    before = Route.BASE, Route.ID_BASE
    try:
        settings = replace(
            TwitchSettings(), helix_url="http://h.test/helix", id_url="http://i.test/oauth2"
        )
        api = EventSubApi(settings)
        assert Route("POST", "eventsub/subscriptions").url == (
            "http://h.test/helix/eventsub/subscriptions"
        )
        assert Route("GET", "/oauth2/validate", use_id=True).url == (
            "http://i.test/oauth2/validate"
        )
        await api.close()
    finally:
        Route.BASE, Route.ID_BASE = before


def test_its_own_servers_are_twitchs() -> None:
    settings = TwitchSettings()
    assert f"{settings.helix_url}/" == "https://api.twitch.tv/helix/"
    assert settings.id_url.startswith("https://id.twitch.tv/")


def test_its_plain_client_makes_subscriptions_and_refreshes_nothing() -> None:
    for name in ("create_eventsub_subscription", "delete_eventsub_subscription", "close"):
        assert callable(getattr(HTTPClient, name))
    assert list(inspect.signature(HTTPClient.request).parameters) == ["self", "route"]
    assert "refresh" not in inspect.getsource(HTTPClient.request)
    assert "token_for" in inspect.signature(HTTPClient.get_users).parameters


def test_its_subscriptions_are_the_documented_ones() -> None:
    for kind in (CHAT, CHAT_DELETED, CHAT_USER_CLEARED, ONLINE, OFFLINE):
        payload = _subscription(Want(kind, "42"), "7")
        in_chat = {"user_id": "7"} if kind.startswith("channel.chat.") else {}
        assert payload.type == kind
        assert payload.version == "1"
        assert payload.condition == {"broadcaster_user_id": "42"} | in_chat
