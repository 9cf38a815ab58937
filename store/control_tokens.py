"""Tokens of leased channels over the control API.

Law: a token is returned to whoever asked for it and kept nowhere; no error text repeats it.
"""

from __future__ import annotations

import logging

from store.control_client import ControlLeases
from store.leases import Lease, LeaseLost, LeasesAway, LeasesRefused
from store.twitch.errors import TokensAway
from store.twitch.tokens import UserToken

log = logging.getLogger(__name__)


class ControlTokens:
    """Implements store.leased_tokens.Lender."""

    def __init__(self, control: ControlLeases) -> None:
        """`control`: knows the way, and who asks."""
        self._control = control

    async def lend(self, lease: Lease, refused: str = "") -> UserToken | None:
        """As `Lender.lend`."""
        body = {"kind": lease.kind, "id": lease.id, "token": lease.token, "refused": refused}
        try:
            told = await self._control.ask("twitch/token", body)
        except LeasesRefused as error:
            log.info("no token for a channel", extra={"work_id": lease.id, "detail": str(error)})
            return None
        except (LeaseLost, LeasesAway) as error:
            raise TokensAway(str(error)) from error
        try:
            return UserToken(
                user_id=str(told["user_id"]),
                login=str(told["login"]),
                access_token=str(told["access_token"]),
                scopes=frozenset(str(each) for each in told["scopes"]),
                client_id=str(told["client_id"]),
            )
        except (KeyError, TypeError):
            raise TokensAway(
                "the control plane's answer is not what this version understands"
            ) from None
