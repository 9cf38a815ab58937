"""Who gives a streamer's token to those who talk to Twitch in the streamer's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class UserToken:
    """What a streamer has allowed, and the token that shows it."""

    user_id: str
    """Twitch's number of the user."""
    login: str
    access_token: str = field(repr=False)
    scopes: frozenset[str]


class Tokens(Protocol):
    """The connected accounts, as a worker knows them. Never raises for one that is missing."""

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
