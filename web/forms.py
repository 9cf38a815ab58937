"""Forms that change something: from our own page, in the same browser, or not at all.

Law: a form is taken when it carries the token of the browser's own cookie, which no other site can
read or set.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import parse_qs

from fastapi import Request, Response
from starlette.exceptions import HTTPException

FORM_BYTES_MAX = 16_384
FIELDS_MAX = 50
TOKEN_FIELD = "form_token"


class Forms:
    """Gives out and checks the tokens of one site's forms."""

    def __init__(self, secret: bytes, public_url: str) -> None:
        """`secret` signs the tokens; with an `https://` address the cookie never goes in clear."""
        self._secret = secret
        self._secure = public_url.startswith("https://")
        self._cookie = "__Host-clipthat" if self._secure else "clipthat"

    def browser(self, request: Request) -> str:
        """Return the secret that this browser carries; empty when it carries none."""
        told = request.cookies.get(self._cookie, "")
        return told if 32 <= len(told) <= 64 else ""

    def token(self, browser: str) -> str:
        """Return what a form of this browser carries in the field `form_token`."""
        return hmac.new(self._secret, b"form\0" + browser.encode(), hashlib.sha256).hexdigest()

    def welcome(self, request: Request) -> str:
        """Return this browser's secret, or a new one for `remember`."""
        return self.browser(request) or secrets.token_urlsafe(32)

    def remember(self, response: Response, browser: str) -> None:
        """Let the browser carry its secret until it is closed."""
        response.set_cookie(
            self._cookie, browser, path="/", httponly=True, samesite="lax", secure=self._secure
        )

    async def read(self, request: Request) -> dict[str, list[str]]:
        """Return the fields of a form that was sent.

        Raises:
            HTTPException: 403, it does not come from a page of ours; 413, it is too long.
        """
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > FORM_BYTES_MAX:
                raise HTTPException(413, "That form is too long.")
        try:
            fields = parse_qs(body.decode(), max_num_fields=FIELDS_MAX)
        except ValueError:
            fields = {}
        browser = self.browser(request)
        sent = fields.get(TOKEN_FIELD, [""])[0]
        if not browser or not hmac.compare_digest(sent.encode(), self.token(browser).encode()):
            raise HTTPException(
                403, "This page was open for too long. Go back, load it again and press once more."
            )
        return fields
