"""The tokens of the channels that a worker leases, as its event sockets ask for them.

Law: nothing is kept but who is connected and a token's mark; a token is asked for when a socket
needs it, under the lease of its channel, and what cannot be known says nothing of a permission.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from store.channel_work import ChannelWork
from store.held_lease import HeldLease
from store.leases import Beat, Lease, LeaseLost
from store.twitch.errors import TokensAway
from store.twitch.tokens import UserToken, mark_of


class Lender(Protocol):
    """Who keeps the accounts."""

    async def lend(self, lease: Lease, refused: str = "") -> UserToken | None:
        """Return the token of a channel that is held; None when there is none for it.

        Args:
            lease: of the channel.
            refused: the mark of a token that Twitch does not take any more: another one is given.

        Raises:
            TokensAway: it cannot be known now.
        """
        ...


@dataclass(slots=True)
class _Channel:
    """A channel that is held, and how its account stands."""

    held: HeldLease
    is_connected: bool
    user_id: str = ""
    """Of its owner, once a token was lent."""
    mark: str = ""
    """Of the latest token."""


class LeasedTokens:
    """Implements store.twitch.tokens.Tokens for the channels that a worker holds."""

    def __init__(self, lender: Lender) -> None:
        """`lender`: is asked for tokens."""
        self._lender = lender
        self._channels: dict[str, _Channel] = {}

    def hold(self, work: ChannelWork, held: HeldLease) -> None:
        """Ask for a channel's token under this lease from now on."""
        known = self._channels.get(work.name)
        if known is not None and known.held is held:
            return
        kept = {name: one for name, one in self._channels.items() if not one.held.ended.is_set()}
        self._channels = {**kept, work.name: _Channel(held, work.eventsub)}

    def heard(self, beat: Beat) -> list[str]:
        """Take in who is connected by now; return the channels for which that has changed."""
        if beat.connected is None:
            return []
        changed = []
        for login, channel in self._channels.items():
            lease_id = channel.held.lease.id
            is_connected = lease_id in beat.connected
            if lease_id in beat.kept and is_connected != channel.is_connected:
                channel.is_connected = is_connected
                changed.append(login)
        return changed

    async def of(self, login: str) -> UserToken | None:
        """Return a channel's token; None when it is not connected or must be reconnected.

        Raises, as each method here:
            TokensAway: the control plane cannot be asked, or the lease is over.
        """
        channel = self._channels.get(login)
        if channel is None or not channel.is_connected:
            return None
        return await self._lent(channel)

    async def refused(self, token: UserToken) -> UserToken | None:
        """Return another token for one that Twitch answered 401 to."""
        channel = self._channels.get(token.login)
        if channel is None:
            return None
        return await self._lent(channel, mark_of(token.access_token))

    async def revoked(self, user_id: str) -> None:
        """Have the permission looked at that Twitch says is taken back."""
        for channel in tuple(self._channels.values()):
            if channel.user_id == user_id and channel.mark:
                await self._lent(channel, channel.mark)

    async def _lent(self, channel: _Channel, refused: str = "") -> UserToken | None:
        try:
            channel.held.check()
        except LeaseLost as error:
            raise TokensAway(str(error)) from error
        token = await self._lender.lend(channel.held.lease, refused)
        if token is not None:
            channel.user_id, channel.mark = token.user_id, mark_of(token.access_token)
        return token
