"""Who gives a streamer's token to those who talk to Twitch in the streamer's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

CHAT_SCOPE = "user:read:chat"
"""What a streamer must have allowed for chat to be read in their name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UserToken:
    """What a streamer has allowed, and the token that shows it."""

    user_id: str
    """Twitch's number of the user."""
    login: str
    access_token: str = field(repr=False)
    scopes: frozenset[str]
    client_id: str = ""
    """The app that was allowed it; that of this process's settings when empty."""


def mark_of(access_token: str) -> str:
    """Return what tells a token from others without showing it: 64 hexadecimal digits."""
    return hashlib.sha256(access_token.encode()).hexdigest()


class Tokens(Protocol):
    """The connected accounts, as a worker knows them. Never raises for one that is missing.

    Each method raises `bus.errors.Unavailable` while whoever keeps them cannot be asked, which says
    nothing about a permission.
    """

    async def of(self, login: str) -> UserToken | None:
        """Return a channel's token; None when it is not connected or must be reconnected."""
        ...

    async def refused(self, token: UserToken) -> UserToken | None:
        """Tell that Twitch answered 401 to this token.

        Returns a fresh one, refreshed once however many ask; None when the permission is gone, and
        the channel then says "reconnect Twitch", or when Twitch cannot be asked now.
        """
        ...

    async def revoked(self, user_id: str) -> None:
        """Tell that Twitch said the user has taken the permission back."""
        ...
