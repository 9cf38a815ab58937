"""What every answer is fenced with, and who may ask.

Law: a page runs no script and loads nothing but ours, is framed by nobody, and is given to no
other name than those in the settings (which is what stops DNS rebinding).
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bus.ports import Meter

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action {forms}",
        "frame-ancestors 'none'",
    )
)

CONTENT_POLICY = _POLICY.format(forms="'none'")


def form_policy(*targets: str) -> str:
    """Return the policy of a page with forms.

    `targets`: origins to which the answer to a form leads on; our own is among them always.
    """
    return _POLICY.format(forms=" ".join(("'self'", *targets)))


PROGRAMS = "/control/"
"""Below this, nothing is answered without a token in a header."""
_PLACE = re.compile(r"[A-Za-z0-9.:\[\]-]+")


def with_media_origin(policy: str, origin: str) -> str:
    """Return a policy under which videos and pictures may come from a bucket's origin too."""
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not _PLACE.fullmatch(parts.netloc):
        return policy
    own = f"{parts.scheme}://{parts.netloc}"
    for kind in ("img-src 'self'", "media-src 'self'"):
        policy = policy.replace(kind, f"{kind} {own}")
    return policy


HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def host_name(header: str) -> str:
    """Return the name in a Host header, without port and brackets, in small letters."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


class Fence:
    """ASGI middleware: checks the host, adds the headers, counts the answer."""

    def __init__(
        self, app: ASGIApp, allowed_hosts: Collection[str], meter: Meter, media_origin: str = ""
    ) -> None:
        self._app = app
        self._origin = media_origin
        self._hosts = {name.lower() for name in allowed_hosts}
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = 500

        async def fenced_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                headers["Content-Security-Policy"] = with_media_origin(
                    headers["Content-Security-Policy"], self._origin
                )
            await send(message)

        try:
            # A browser that was led astray has no token, so programs may ask under any name.
            is_program = scope["path"].startswith(PROGRAMS)
            if is_program or self._allows(Headers(scope=scope).get("host", "")):
                await self._app(scope, receive, fenced_send)
            else:
                refusal = PlainTextResponse(
                    "This name is not in the setting web.allowed_hosts.\n", status_code=421
                )
                await refusal(scope, receive, fenced_send)
        finally:
            # The route's pattern, never its path: a label must not grow with what is asked for.
            route = getattr(scope.get("route"), "path", "none")
            self._meter.count("clipthat_web_requests_total", route=route, status=str(status))
            self._meter.observe(
                "clipthat_web_request_seconds", time.perf_counter() - began_s, route=route
            )

    def _allows(self, host: str) -> bool:
        return "*" in self._hosts or host_name(host) in self._hosts
