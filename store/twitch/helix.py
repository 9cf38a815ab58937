"""Twitch's API, asked in a streamer's name.

Law: a token stands in a header and nowhere else; what creates something is sent again only when
Twitch has said that it did not do it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from store.twitch.errors import TwitchError
from store.twitch.settings import TwitchSettings
from store.twitch.tokens import Tokens, UserToken

ANSWER_BYTES_MAX = 2_000_000
TRIES = 3
RETRY_S = 0.5
"""Pause before the second try; doubles with each further one."""
RESET_WAIT_MAX_S = 20.0
"""Longest wait for Twitch's limit to be lifted."""


class HelixRefused(TwitchError):
    """Twitch has answered no; `status` says how."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Twitch's API answered {status}")
        self.status = status


class NotConnected(TwitchError):
    """There is no permission (any more): the channel must be (re)connected."""


class HelixUnavailable(TwitchError):
    """Twitch's API cannot be reached or is broken; what was asked for may have been done."""


@dataclass(frozen=True, slots=True)
class TwitchClip:
    """A clip as Twitch knows it."""

    id: str
    url: str
    title: str
    creator_id: str
    created_at: str
    """RFC 3339, in UTC."""


class Helix:
    """Twitch's API. Each call is made with a channel's own token."""

    def __init__(
        self,
        settings: TwitchSettings,
        tokens: Tokens,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`sleep` waits for seconds, `clock` gives Unix time."""
        self._settings = settings
        self._tokens = tokens
        self._sleep = sleep
        self._clock = clock

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return httpx.create_ssl_context(trust_env=False)

    async def create_clip(self, asker: str, *, title: str, duration_s: float) -> str:
        """Ask for a clip of the channel's own live stream; return the name it will have.

        Twitch takes it from the last 90 s, and publishes so much of their end as `duration_s` (5 to
        60) says. It is not there yet when this returns.

        `asker`, here and below: the login of the channel in whose name it is asked.

        Raises, as each method here:
            NotConnected: the channel has no valid token.
            HelixRefused: Twitch says no.
            HelixUnavailable: Twitch cannot be reached; here it is not known whether it makes one.
        """
        token = await self._token(asker)
        query = [("broadcaster_id", token.user_id), ("duration", f"{duration_s:.1f}")]
        if title:
            query.append(("title", title))
        found = await self._call("POST", asker, "clips", query)
        if not found or not isinstance(found[0].get("id"), str):
            raise HelixUnavailable("Twitch's answer names no clip")
        return str(found[0]["id"])

    async def clip(self, asker: str, clip_id: str) -> TwitchClip | None:
        """Return a clip by its name; None while it is not there."""
        found = await self._call("GET", asker, "clips", [("id", clip_id)])
        return next((clip for clip in map(_clip, found) if clip.id == clip_id), None)

    async def clips_between(self, asker: str, started_at: str, ended_at: str) -> list[TwitchClip]:
        """Return the channel's clips that were made between two times (RFC 3339); 100 at most."""
        token = await self._token(asker)
        query = [
            ("broadcaster_id", token.user_id),
            ("started_at", started_at),
            ("ended_at", ended_at),
            ("first", "100"),
        ]
        return [_clip(row) for row in await self._call("GET", asker, "clips", query)]

    async def _token(self, asker: str) -> UserToken:
        token = await self._tokens.of(asker)
        if token is None:
            raise NotConnected(f"{asker} must be connected with Twitch")
        return token

    async def _call(
        self, method: str, asker: str, path: str, query: Sequence[tuple[str, str]]
    ) -> list[dict[str, Any]]:
        token, renewed, pause_s = await self._token(asker), False, RETRY_S
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                answer = await self._send(method, token, path, query)
            except (httpx.HTTPError, TimeoutError) as error:
                if method != "GET" or not tries_left:
                    raise HelixUnavailable(
                        f"Twitch's API cannot be reached ({type(error).__name__})"
                    ) from None
                await self._sleep(pause_s)
            else:
                if answer.status_code == 401 and not renewed:
                    token, renewed = await self._renewed(asker, token), True
                elif answer.status_code == 429 and tries_left:
                    await self._sleep(self._until_reset(answer))
                elif answer.status_code >= 500 and method == "GET" and tries_left:
                    await self._sleep(pause_s)
                else:
                    return _rows(answer)
            pause_s *= 2
        raise HelixUnavailable("Twitch's API does not take a fresh token")

    async def _renewed(self, asker: str, token: UserToken) -> UserToken:
        fresh = await self._tokens.refused(token)
        if fresh is None:
            raise NotConnected(f"{asker} must be reconnected with Twitch")
        return fresh

    def _until_reset(self, answer: httpx.Response) -> float:
        try:
            wait_s = float(answer.headers.get("Ratelimit-Reset", "")) - self._clock()
        except ValueError:
            wait_s = 1.0
        if not wait_s <= RESET_WAIT_MAX_S:
            raise HelixRefused(429)
        return max(0.0, wait_s) + 0.1

    async def _send(
        self, method: str, token: UserToken, path: str, query: Sequence[tuple[str, str]]
    ) -> httpx.Response:
        limit_s = self._settings.timeout_s
        headers = {
            "Authorization": f"Bearer {token.access_token}",
            "Client-Id": self._settings.client_id,
        }
        url = f"{self._settings.helix_url.rstrip('/')}/{path}"
        async with (
            asyncio.timeout(limit_s),
            httpx.AsyncClient(timeout=limit_s, verify=self._trust, trust_env=False) as client,
            client.stream(method, url, params=list(query), headers=headers) as answer,
        ):
            text = b""
            async for part in answer.aiter_bytes():
                text += part
                if len(text) > ANSWER_BYTES_MAX:
                    raise HelixUnavailable("Twitch's answer is longer than any should be")
        told = {"Ratelimit-Reset": answer.headers.get("Ratelimit-Reset", "")}
        return httpx.Response(answer.status_code, content=text, headers=told)


def _rows(answer: httpx.Response) -> list[dict[str, Any]]:
    if answer.status_code >= 500:
        raise HelixUnavailable(f"Twitch's API answered {answer.status_code}")
    if answer.status_code not in (200, 202):
        raise HelixRefused(answer.status_code)
    try:
        rows = answer.json()["data"]
    except (ValueError, KeyError, TypeError):
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise HelixUnavailable("Twitch's API answered with something else than rows")
    return rows


def _clip(row: Mapping[str, object]) -> TwitchClip:
    def text(name: str) -> str:
        value = row.get(name)
        return value if isinstance(value, str) else ""

    return TwitchClip(
        text("id"), text("url"), text("title"), text("creator_id"), text("created_at")
    )
