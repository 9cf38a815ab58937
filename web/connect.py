"""The page on which a streamer connects Twitch, and the way to Twitch and back.

Law: a permission is asked for by its own box and for its own reason; whatever comes back from
Twitch ends in one clear sentence on this page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from store.state.accounts import Accounts
from store.state.logins import Logins
from store.twitch.errors import LoginRefused, LoginUnavailable
from web.connect_words import RESULTS, SCOPES, why
from web.security import form_policy, host_name
from web.settings import WebSettings
from web.site import Site

CALLBACK = "/connect/twitch/callback"
ANSWER_CHARS_MAX = 512
"""Twitch's codes and our states are shorter."""
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TwitchAccess:
    """What the page works on."""

    accounts: Accounts
    logins: Logins
    changed: Callable[[str], None] = lambda login: None
    """Is told the login of each channel that has been connected or disconnected."""


def redirect_url(settings: WebSettings, request: Request) -> str:
    """Return the address to which Twitch sends the browser back: exactly what is registered."""
    return f"{_public_url(settings, request)}{CALLBACK}"


def _public_url(settings: WebSettings, request: Request) -> str:
    if settings.public_url:
        return settings.public_url.rstrip("/")
    return f"http://localhost:{settings.port or request.url.port}"


def connect_routes(site: Site, access: TwitchAccess) -> APIRouter:
    """Return the page, the way to Twitch, the way back, and the end of a connection."""
    router = APIRouter(include_in_schema=False)
    _add_page(router, site, access)
    _add_way_there(router, site, access)
    _add_way_back(router, site, access)
    return router


def _add_page(router: APIRouter, site: Site, access: TwitchAccess) -> None:
    accounts, login, forms = access.accounts, access.accounts.login, site.forms

    @router.get("/connect")
    async def connect_page(request: Request, result: str = "") -> Response:
        public_url = _public_url(site.settings, request)
        host = host_name(request.headers.get("host", ""))
        if not site.settings.public_url and host in _LOOPBACK:
            # Twitch lets an app in development come back to this name only, and a cookie that was
            # given to the number would not be there then.
            return RedirectResponse(f"{public_url}/connect", 303)
        browser = forms.welcome(request)
        page = await site.render(
            "connect.html",
            accounts=await accounts.views(),
            scopes=SCOPES,
            why=why,
            result=RESULTS.get(result),
            ready=login.ready,
            reachable=bool(site.settings.public_url) or host == "localhost",
            redirect_url=redirect_url(site.settings, request),
            token=forms.token(browser),
            open=False,
        )
        answer = HTMLResponse(page)
        forms.remember(answer, browser)
        # A browser checks every address of the way there: the login, Twitch's own page that it
        # goes through, and ours again.
        targets = (login.origin, "https://www.twitch.tv", _origin(public_url))
        answer.headers["Content-Security-Policy"] = form_policy(*targets)
        return answer


def _add_way_there(router: APIRouter, site: Site, access: TwitchAccess) -> None:
    accounts, login, forms = access.accounts, access.accounts.login, site.forms

    @router.post("/connect/twitch")
    async def begin(request: Request) -> Response:
        fields = await forms.read(request)
        wanted = {scope.name for scope in SCOPES} & set(fields.get("scope", ()))
        if not login.ready:
            return _back("unready")
        if not wanted:
            return _back("nothing")
        try:
            address = await access.logins.begin(
                forms.browser(request),
                wanted,
                redirect_url(site.settings, request),
                ask=bool(await accounts.views()),
            )
        except LoginUnavailable:
            return _back("unreachable")
        return RedirectResponse(address, 303)

    @router.post("/connect/twitch/{user_id}/disconnect")
    async def disconnect(request: Request, user_id: str) -> Response:
        await forms.read(request)
        logins = [view.login for view in await accounts.views() if view.user_id == user_id]
        told = await accounts.disconnect(user_id)
        for name in logins:
            access.changed(name)
        return _back("disconnected" if told else "untold")


def _add_way_back(router: APIRouter, site: Site, access: TwitchAccess) -> None:
    accounts, login = access.accounts, access.accounts.login

    @router.get(CALLBACK)
    async def callback(
        request: Request, state: str = "", code: str = "", error: str = ""
    ) -> Response:
        if max(len(state), len(code)) > ANSWER_CHARS_MAX:
            return _back("expired")
        pending = await access.logins.take(state, site.forms.browser(request))
        if pending is None:
            return _back("expired")
        if error or not code:
            return _back("denied" if error == "access_denied" else "refused")
        try:
            grant = await login.exchange(
                code, verifier=pending.verifier, redirect_url=pending.redirect_url
            )
            holder = await login.validate(grant.access_token)
        except LoginRefused:
            return _back("refused")
        except LoginUnavailable:
            return _back("unreachable")
        await accounts.connect(grant, holder)
        access.changed(holder.login)
        return _back("connected")


def _back(result: str) -> Response:
    return RedirectResponse(f"/connect?result={result}", 303)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
