"""Twitch's subscriptions to events, through twitchio's API client.

Law: `Tokens` is the only one who keeps or refreshes a token. twitchio's `ManagedHTTPClient`
refreshes by itself on 401 and once an hour, which would spend a refresh token behind the keeper's
back; so the plain client below it is used, and each call is given the token that it shows.

twitchio knows its servers by class attributes, which hold for the whole process; `EventSubApi` is
the one place that sets them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from twitchio import HTTPException
from twitchio.eventsub import (
    ChatClearUserMessagesSubscription,
    ChatMessageDeleteSubscription,
    ChatMessageSubscription,
    StreamOfflineSubscription,
    StreamOnlineSubscription,
    SubscriptionPayload,
    SubscriptionType,
)
from twitchio.http import HTTPClient, Route

from store.twitch.settings import TwitchSettings
from store.twitch.tokens import UserToken

CHAT = "channel.chat.message"
CHAT_DELETED = "channel.chat.message_delete"
CHAT_USER_CLEARED = "channel.chat.clear_user_messages"
ONLINE = "stream.online"
OFFLINE = "stream.offline"


@dataclass(frozen=True, slots=True)
class Want:
    """Something to be told of: a type of event, in a channel."""

    type: str
    broadcaster_id: str
    cost: int = 0
    """What it takes of the user's ten points: nothing where the streamer has allowed the app."""


class ApiRefused(Exception):
    """Twitch answered, and not with what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        """Tell the HTTP status and Twitch's words."""
        super().__init__(f"Twitch answers {status}: {message}")
        self.status = status


class ApiUnreachable(Exception):
    """Twitch's API gave no answer, or none that can be read."""


class EventSubApi:
    """Makes and ends subscriptions, in the name of one user at a time."""

    def __init__(self, settings: TwitchSettings) -> None:
        """Talk to the servers that the settings name."""
        id_parts = urlsplit(settings.id_url)
        Route.BASE = settings.helix_url.rstrip("/") + "/"
        Route.ID_BASE = f"{id_parts.scheme}://{id_parts.netloc}/"
        self._timeout_s = settings.timeout_s
        self._client = _Client(client_id=settings.client_id)

    async def subscribe(self, token: UserToken, want: Want, session_id: str) -> str:
        """Have the session told of something; returns the subscription's id.

        Raises:
            ApiRefused: Twitch does not want to.
            ApiUnreachable: no answer came.
        """
        subscription = _subscription(want, token.user_id)
        answer = await self._call(
            token,
            self._client.create_eventsub_subscription(
                type=SubscriptionType(subscription.type),
                version=subscription.version,
                condition=subscription.condition,
                transport={"method": "websocket", "session_id": session_id},
                token_for=token.user_id,
            ),
        )
        try:
            return str(answer["data"][0]["id"])
        except (KeyError, IndexError, TypeError) as error:
            raise ApiUnreachable("an answer without a subscription") from error

    async def unsubscribe(self, token: UserToken, subscription_id: str) -> None:
        """End a subscription.

        Raises:
            ApiRefused, ApiUnreachable: as for `subscribe`.
        """
        await self._call(
            token,
            self._client.delete_eventsub_subscription(subscription_id, token_for=token.user_id),
        )

    async def user_id(self, token: UserToken, login: str) -> str | None:
        """Return Twitch's number of a user; None when there is none of that name.

        Raises:
            ApiRefused, ApiUnreachable: as for `subscribe`.
        """
        answer = await self._call(
            token, self._client.get_users(logins=[login], token_for=token.user_id)
        )
        try:
            return next((str(user["id"]) for user in answer["data"]), None)
        except (KeyError, TypeError) as error:
            raise ApiUnreachable("an answer without users") from error

    def forget(self, user_id: str) -> None:
        """Keep no token of a user any more."""
        self._client.tokens.pop(user_id, None)

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.close()

    async def _call(self, token: UserToken, call: Any) -> Any:
        self._client.tokens[token.user_id] = token
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except HTTPException as error:
            raise ApiRefused(error.status, _words(error.extra)) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ApiUnreachable(type(error).__name__) from error


class _Client(HTTPClient):
    """twitchio's plain API client; it shows the token of the user for whom a call is made, and the
    app that the user has allowed."""

    def __init__(self, *, client_id: str) -> None:
        super().__init__(client_id=client_id)
        self.tokens: dict[str, UserToken] = {}

    @property
    def headers(self) -> dict[str, str]:
        """What every call carries; the app is a matter of each."""
        return {"User-Agent": self.user_agent}

    async def request(self, route: Route) -> Any:
        token = self.tokens.get(route.token_for)
        bearer = "" if token is None else token.access_token
        app = "" if token is None else token.client_id
        route.update_headers(
            {"Authorization": f"Bearer {bearer}", "Client-ID": app or self._client_id}
        )
        return await super().request(route)


_IN_CHAT: dict[str, type[SubscriptionPayload]] = {
    CHAT: ChatMessageSubscription,
    CHAT_DELETED: ChatMessageDeleteSubscription,
    CHAT_USER_CLEARED: ChatClearUserMessagesSubscription,
}
_OF_STREAM: dict[str, type[SubscriptionPayload]] = {
    ONLINE: StreamOnlineSubscription,
    OFFLINE: StreamOfflineSubscription,
}


def _subscription(want: Want, user_id: str) -> SubscriptionPayload:
    if want.type in _IN_CHAT:
        return _IN_CHAT[want.type](broadcaster_user_id=want.broadcaster_id, user_id=user_id)
    return _OF_STREAM[want.type](broadcaster_user_id=want.broadcaster_id)


def _words(extra: object) -> str:
    message = extra.get("message") if isinstance(extra, dict) else None
    return str(message)[:200] if message else "no reason given"
