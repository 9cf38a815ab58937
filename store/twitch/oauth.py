"""Twitch's login: permission asked for, exchanged, renewed, checked and given back.

Law: secrets travel in bodies and headers, never in an address that we ask, and no error text
repeats what was sent or answered.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]  # no stubs
    prepare_grant_uri,
)
from authlib.oauth2.rfc7636 import (  # type: ignore[import-untyped]  # no stubs
    create_s256_code_challenge,
)

from store.twitch.errors import LoginRefused, LoginUnavailable
from store.twitch.grants import Grant, Holder, read_grant, read_holder
from store.twitch.settings import TwitchSettings

ANSWER_BYTES_MAX = 65_536
"""No answer of the login is longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Authorization:
    """Where to send a browser, and what the exchange needs later."""

    url: str = field(repr=False)
    verifier: str = field(repr=False)
    """PKCE's secret; empty where the provider has no PKCE."""


class TwitchLogin:
    """OAuth's code flow with Twitch, for one registered app."""

    def __init__(self, settings: TwitchSettings) -> None:
        self._settings = settings
        self._url = settings.id_url.rstrip("/")
        self._pkce: bool | None = None
        self._discovering = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether the app's id and secret are set."""
        return bool(self._settings.client_id and self._settings.client_secret)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the login, such as `https://id.twitch.tv`."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Reading the authorities' certificates takes long enough to do it once."""
        return httpx.create_ssl_context(trust_env=False)

    async def authorization(
        self, *, state: str, verifier: str, scopes: Collection[str], redirect_url: str, ask: bool
    ) -> Authorization:
        """Return the address at which the streamer is asked.

        `state` and `verifier`: fresh random texts, the latter of 43 to 128 characters. `ask`: show
        the question even when the app has been allowed before.

        Raises:
            LoginUnavailable: Twitch cannot be reached.
        """
        extra: dict[str, str] = {}
        if ask:
            extra["force_verify"] = "true"
        pkce = await self._has_pkce()
        if pkce:
            extra["code_challenge"] = create_s256_code_challenge(verifier)
            extra["code_challenge_method"] = "S256"
        url = prepare_grant_uri(
            f"{self._url}/authorize",
            client_id=self._settings.client_id,
            response_type="code",
            redirect_uri=redirect_url,
            scope=" ".join(sorted(scopes)),
            state=state,
            **extra,
        )
        return Authorization(url=url, verifier=verifier if pkce else "")

    async def exchange(self, code: str, *, verifier: str, redirect_url: str) -> Grant:
        """Turn a code into tokens; it can be done once.

        Raises:
            LoginRefused: the code is used, too old or not for us.
            LoginUnavailable: Twitch cannot be reached.
        """
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_url}
        if verifier:
            body["code_verifier"] = verifier
        return read_grant(await self._token(body))

    async def refresh(self, refresh_token: str) -> Grant:
        """Return fresh tokens; the refresh token may be another one than before.

        Raises:
            LoginRefused: the permission is gone.
            LoginUnavailable: Twitch cannot be reached.
        """
        body = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return read_grant(await self._token(body), before=refresh_token)

    async def validate(self, access_token: str) -> Holder:
        """Return whose token it is.

        Raises:
            LoginRefused: it is not valid any more.
            LoginUnavailable: Twitch cannot be reached.
        """
        headers = {"Authorization": f"OAuth {access_token}"}
        status, answer = await self._ask("GET", f"{self._url}/validate", headers=headers)
        if status == 401:
            raise LoginRefused("Twitch does not know this token any more")
        _check(status)
        return read_holder(answer, self._settings.client_id)

    async def revoke(self, access_token: str) -> None:
        """Give a permission back; one that Twitch does not know any more is given back already.

        Raises:
            LoginUnavailable: Twitch cannot be reached.
        """
        body = {"client_id": self._settings.client_id, "token": access_token}
        status, _ = await self._ask("POST", f"{self._url}/revoke", body=body)
        if status not in (200, 400, 404):
            _check(status)

    async def _token(self, body: Mapping[str, str]) -> Mapping[str, object]:
        app = {
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret,
        }
        status, answer = await self._ask("POST", f"{self._url}/token", body={**body, **app})
        if status == 403 or (status == 400 and answer.get("message") == "invalid client"):
            # The app is set up wrongly; that says nothing about a streamer's permission.
            raise LoginUnavailable(
                "Twitch refuses the app: check twitch.client_id and twitch.client_secret"
            )
        if status in (400, 401):
            raise LoginRefused("Twitch does not accept this code or refresh token")
        _check(status)
        return answer

    async def _has_pkce(self) -> bool:
        """Ask the provider once; what is not listed is not sent."""
        async with self._discovering:
            if self._pkce is None:
                status, answer = await self._ask(
                    "GET", f"{self._url}/.well-known/openid-configuration"
                )
                if status != 404:
                    _check(status)
                methods = answer.get("code_challenge_methods_supported")
                self._pkce = status == 200 and isinstance(methods, list) and "S256" in methods
            return self._pkce

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        body: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, object]]:
        limit_s = self._settings.timeout_s
        try:
            async with (
                asyncio.timeout(limit_s),
                httpx.AsyncClient(timeout=limit_s, verify=self._trust, trust_env=False) as client,
                client.stream(method, url, data=body, headers=headers) as answer,
            ):
                text = b""
                async for part in answer.aiter_bytes():
                    text += part
                    if len(text) > ANSWER_BYTES_MAX:
                        raise LoginUnavailable("Twitch's answer is longer than any should be")
                return answer.status_code, _object(answer, text)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise LoginUnavailable(
                f"Twitch's login cannot be reached ({type(error).__name__})"
            ) from None


def _object(answer: httpx.Response, text: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    if answer.status_code == 200:
        raise LoginUnavailable("Twitch's login answered with something that is no JSON")
    return {}


def _check(status: int) -> None:
    if status != 200:
        raise LoginUnavailable(f"Twitch's login answered {status}")
