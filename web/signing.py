"""Links to media that only we can make, and that end.

Law: a signature covers the whole key and the time at which the link ends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from dataclasses import dataclass
from urllib.parse import quote

from web.errors import LinkExpired, LinkForged


@dataclass(frozen=True, slots=True)
class LinkSigner:
    """Makes and checks links below `/media/`."""

    secret: bytes
    ttl_s: float

    def link(self, key: str, now_s: float) -> str:
        """Return the path and query of an object's link, good for one to two `ttl_s` from now.

        All links made within one `ttl_s` end together, so that a page that is asked for again
        shows the same address and a video that plays is not begun anew.
        """
        ends_s = math.ceil((math.floor(now_s / self.ttl_s) + 2) * self.ttl_s)
        return f"/media/{quote(key)}?e={ends_s}&s={self._sign(key, str(ends_s))}"

    def check(self, key: str, ends: str, signature: str, now_s: float) -> None:
        """Return when the link is good.

        Raises:
            LinkForged: the signature is not ours for this key and end.
            LinkExpired: it is ours, but has ended.
        """
        if not hmac.compare_digest(self._sign(key, ends).encode(), signature.encode()):
            raise LinkForged("this link was not made here")
        if now_s >= int(ends):
            raise LinkExpired("this link has ended; open the page again for a new one")

    def _sign(self, key: str, ends: str) -> str:
        digest = hmac.new(self.secret, f"{key}\n{ends}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
