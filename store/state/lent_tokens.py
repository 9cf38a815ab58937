"""Lends the tokens of connected channels to the workers that read their chat.

Law: who holds a channel's lease is lent the token of that channel alone, for as long as it holds
it; a token is renewed here and nowhere else, and what renews it is never lent.
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import replace

from bus.ports import Meter, SilentMeter
from store.channel_work import ChannelWork
from store.leases import Lease, LeaseLost
from store.state.accounts import Accounts
from store.state.lease_views import LeaseViews
from store.twitch.errors import NotLent, TokensAway
from store.twitch.tokens import CHAT_SCOPE, UserToken, mark_of

log = logging.getLogger(__name__)

NOT_CONNECTED = "This channel's account is not connected, or must be reconnected."


class LentTokens:
    """The accounts of one tenant, as far as workers may use them."""

    def __init__(
        self,
        leases: LeaseViews,
        accounts: Accounts,
        *,
        client_id: str,
        meter: Meter | None = None,
    ) -> None:
        """`client_id`: the app that streamers have allowed."""
        self._leases = leases
        self._accounts = accounts
        self._client_id = client_id
        self._meter = meter or SilentMeter()

    async def lend(self, worker: str, lease: Lease, refused: str = "") -> UserToken:
        """Return the token of a channel that a worker holds.

        Args:
            worker: who asks.
            lease: of the channel.
            refused: the mark of a token that Twitch does not take any more: another one is given.

        Raises:
            LeaseLost: the worker does not hold the channel now.
            NotLent: there is no token for it.
            TokensAway: Twitch cannot be asked for another one now.
            StateUnavailable: the database cannot be read or written now.
        """
        try:
            token = await self._lent(worker, lease, refused)
        except (LeaseLost, NotLent, TokensAway) as error:
            self._count(_OUTCOMES[type(error)])
            raise
        self._count("lent")
        told = {"worker": worker, "channel": token.login, "lease_no": lease.token}
        log.info("a channel's token is lent", extra=told)
        return replace(token, client_id=self._client_id)

    async def _lent(self, worker: str, lease: Lease, refused: str) -> UserToken:
        login = await self._login(worker, lease)
        token = await self._accounts.of(login)
        if token is not None and refused and _is_marked(token, refused):
            token = await self._renewed(token)
            # That may have taken longer than the lease was good for.
            await self._login(worker, lease)
        if token is None:
            raise NotLent(NOT_CONNECTED)
        if CHAT_SCOPE not in token.scopes:
            raise NotLent("This channel's owner has not allowed its chat to be read.")
        return token

    async def _login(self, worker: str, lease: Lease) -> str:
        """Return whose token a worker may have."""
        told = await self._leases.work(worker, lease)
        work = ChannelWork.of(told) if lease.kind == "ingest" else None
        if work is None or work.kind != "twitch" or work.chat != work.name:
            raise NotLent("Nobody's own chat is read for this lease.")
        return work.name

    async def _renewed(self, token: UserToken) -> UserToken | None:
        fresh = await self._accounts.refused(token)
        if fresh is None and await self._accounts.token(token.user_id) is not None:
            raise TokensAway("Twitch cannot be asked for a fresh token now")
        return fresh

    def _count(self, outcome: str) -> None:
        self._meter.count("clipthat_twitch_tokens_lent_total", outcome=outcome)


_OUTCOMES = {LeaseLost: "lost", NotLent: "not_connected", TokensAway: "away"}


def _is_marked(token: UserToken, mark: str) -> bool:
    return hmac.compare_digest(mark_of(token.access_token).encode(), mark.encode())
