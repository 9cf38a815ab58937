"""One line of chat, the same from every reader.

Law: a user's name never leaves a reader; what goes on is a short hash of it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Role = Literal["viewer", "subscriber", "vip", "moderator", "broadcaster"]

TEXT_CHARS_MAX = 600
"""A Twitch line has at most 500 characters; what is longer is cut."""

_HASH = re.compile(r"u[0-9a-f]{10}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatLine:
    """What somebody wrote, and when."""

    t_s: float
    """Media time: when the line was sent, or for a late one when it was counted."""
    user: str
    """Hash of the user's name."""
    text: str
    role: Role = "viewer"
    emotes: tuple[str, ...] = ()
    """Codes of emotes in the text, once for each time they stand there, when the source tells."""
    message_id: str = ""
    """The source's own id; empty when it has none."""
    sent_s: float | None = None
    """Unix time at which the line was sent, when the source tells."""


_NAMES_REMEMBERED = 20_000


def hashed(user: str) -> str:
    """Return the short hash of a user's name; a hash is returned as it is."""
    return user if _HASH.fullmatch(user) else hash_of(user)


@lru_cache(maxsize=_NAMES_REMEMBERED)
def hash_of(login: str) -> str:
    """Return the short hash of a name that is certainly no hash yet."""
    digest = hashlib.blake2s(
        login.casefold().encode("utf-8", "replace"), digest_size=5, person=b"clipchat"
    )
    return "u" + digest.hexdigest()
