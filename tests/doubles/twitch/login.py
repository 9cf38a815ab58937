"""Twitch's login: the question, tokens that end, validation, revocation.

Keeps the documented rules: a code is good once, for one redirect URL and one PKCE verifier; a token
that has ended is 401; a refresh token that is not known is 400 "Invalid refresh token".
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from aiohttp import web


@dataclass(slots=True)
class Person:
    """A user of Twitch."""

    user_id: str
    login: str


@dataclass(slots=True)
class _Code:
    person: Person
    scopes: list[str]
    redirect_url: str
    challenge: str


@dataclass(slots=True)
class _Permission:
    person: Person
    scopes: list[str]
    refresh_token: str
    ends_s: float


@dataclass(slots=True)
class TwitchLoginDouble:
    """`/oauth2/…` of id.twitch.tv, for one registered app."""

    client_id: str = "app"
    client_secret: str = "app-secret-0123456789"
    redirect_urls: set[str] = field(default_factory=set)
    """Registered ones; another one is refused before anybody is asked."""
    clock: Callable[[], float] = time.time
    person: Person = field(default_factory=lambda: Person("1001", "streamer"))
    """Who is logged in in the browser."""
    allows: bool = True
    """Whether that person presses Authorize."""
    pkce: bool = True
    rotates: bool = True
    """Whether each refresh gives another refresh token, and ends the one before."""
    lives_s: float = 14_400.0
    broken: int = 0
    """Status with which everything is answered."""
    stuck: asyncio.Event | None = None
    """A refresh that has come waits for this before it is answered."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """Parameters of each question."""
    refreshes: int = 0
    validations: list[str] = field(default_factory=list)
    """User of each validation, or `401`."""
    revoked: list[str] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    """Every secret that was ever given out."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a refresh has come."""
    asked_about: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a token has been validated."""
    _codes: dict[str, _Code] = field(default_factory=dict)
    _tokens: dict[str, _Permission] = field(default_factory=dict)

    def attach(self, app: web.Application) -> None:
        """Add the routes under Twitch's paths."""
        app.router.add_get("/oauth2/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/oauth2/authorize", self._authorize)
        app.router.add_post("/oauth2/token", self._token)
        app.router.add_get("/oauth2/validate", self._validate)
        app.router.add_post("/oauth2/revoke", self._revoke)

    def give(self, person: Person, scopes: list[str]) -> tuple[str, str]:
        """Return an access and a refresh token of a person who has allowed the scopes."""
        return self._issue(person, scopes, "")

    def end(self, access_token: str) -> None:
        """Let an access token end before its time; its refresh token stays good."""
        self._tokens[access_token].ends_s = 0.0

    def take_back(self, user_id: str) -> None:
        """The person removes the app in Twitch's settings."""
        for token in [t for t, held in self._tokens.items() if held.person.user_id == user_id]:
            del self._tokens[token]

    def knows(self, access_token: str) -> bool:
        """Whether a token is good now."""
        held = self._tokens.get(access_token)
        return held is not None and held.ends_s > self.clock()

    async def _discovery(self, request: web.Request) -> web.Response:
        if self.broken:
            return web.Response(status=self.broken)
        methods = {"code_challenge_methods_supported": ["plain", "S256"]} if self.pkce else {}
        return web.json_response({"issuer": "https://id.twitch.tv/oauth2", **methods})

    async def _authorize(self, request: web.Request) -> web.Response:
        told = dict(request.query)
        self.asked.append(told)
        wrong = (
            told.get("client_id") != self.client_id
            or told.get("redirect_uri") not in self.redirect_urls
            or told.get("response_type") != "code"
            or (not self.pkce and "code_challenge" in told)
        )
        if wrong:
            return _error(400, "Parameter redirect_uri does not match registered URI")
        answer = {"state": told["state"]}
        if self.allows:
            code = self._secret()
            scopes = told.get("scope", "").split()
            challenge = told.get("code_challenge", "")
            self._codes[code] = _Code(self.person, scopes, told["redirect_uri"], challenge)
            answer |= {"code": code, "scope": told.get("scope", "")}
        else:
            answer |= {
                "error": "access_denied",
                "error_description": "The user denied you access",
            }
        return web.Response(
            status=302, headers={"Location": f"{told['redirect_uri']}?{urlencode(answer)}"}
        )

    async def _token(self, request: web.Request) -> web.Response:
        assert not request.query, "secrets do not belong into addresses"
        body = {name: str(value) for name, value in (await request.post()).items()}
        if body.get("grant_type") == "refresh_token":
            self.refreshes += 1
            self.came.set()
            if self.stuck is not None:
                await self.stuck.wait()
        if self.broken:
            return web.Response(status=self.broken, text="<html>Bad gateway</html>")
        if body.get("client_id") != self.client_id:
            return _error(400, "invalid client")
        if body.get("client_secret") != self.client_secret:
            return _error(403, "invalid client secret")
        if body.get("grant_type") == "authorization_code":
            return self._exchange(body)
        if body.get("grant_type") == "refresh_token":
            return self._refresh(body)
        return _error(400, "missing grant type")

    def _exchange(self, body: Mapping[str, str]) -> web.Response:
        code = self._codes.pop(body.get("code", ""), None)
        if code is None:
            return _error(400, "Invalid authorization code")
        if body.get("redirect_uri") != code.redirect_url:
            return _error(400, "Parameter redirect_uri does not match registered URI")
        digest = hashlib.sha256(body.get("code_verifier", "").encode()).digest()
        if code.challenge and base64.urlsafe_b64encode(digest).decode().rstrip("=") != (
            code.challenge
        ):
            return _error(400, "Invalid code verifier")
        return self._granted(*self._issue(code.person, code.scopes, ""), code.scopes)

    def _refresh(self, body: Mapping[str, str]) -> web.Response:
        found = [t for t, h in self._tokens.items() if h.refresh_token == body["refresh_token"]]
        if not found:
            return _error(400, "Invalid refresh token")
        before = self._tokens[found[-1]]
        kept = "" if self.rotates else before.refresh_token
        issued = self._issue(before.person, before.scopes, kept)
        if self.rotates:
            for token in found:
                self._tokens[token].refresh_token = ""
        return self._granted(*issued, before.scopes)

    def _granted(self, access: str, refresh: str, scopes: list[str]) -> web.Response:
        return web.json_response(
            {
                "access_token": access,
                "refresh_token": refresh,
                "expires_in": int(self.lives_s),
                "scope": scopes,
                "token_type": "bearer",
            }
        )

    async def _validate(self, request: web.Request) -> web.Response:
        if self.broken:
            return web.Response(status=self.broken)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "OAuth" or not self.knows(token):
            self.validations.append("401")
            return _error(401, "invalid access token")
        held = self._tokens[token]
        self.validations.append(held.person.user_id)
        self.asked_about.set()
        return web.json_response(
            {
                "client_id": self.client_id,
                "login": held.person.login,
                "scopes": held.scopes,
                "user_id": held.person.user_id,
                "expires_in": int(held.ends_s - self.clock()),
            }
        )

    async def _revoke(self, request: web.Request) -> web.Response:
        if self.broken:
            return web.Response(status=self.broken)
        body = await request.post()
        token = str(body.get("token", ""))
        if body.get("client_id") != self.client_id:
            return _error(404, "client does not exist")
        if self._tokens.pop(token, None) is None:
            return _error(400, "Invalid token")
        self.revoked.append(token)
        return web.Response()

    def _issue(self, person: Person, scopes: list[str], refresh: str) -> tuple[str, str]:
        access, refresh = self._secret(), refresh or self._secret()
        self._tokens[access] = _Permission(person, scopes, refresh, self.clock() + self.lives_s)
        return access, refresh

    def _secret(self) -> str:
        secret = secrets.token_hex(15)
        self.issued.append(secret)
        return secret


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"status": status, "message": message}, status=status)
