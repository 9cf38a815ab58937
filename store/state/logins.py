"""Logins under way: what was sent to Twitch with whose browser.

Law: a state is good once, for ten minutes, in the browser that began it; only its hash is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select

from store.state.accounts import insert_of
from store.state.state import State
from store.state.tables import TenantRow, TwitchLoginRow
from store.twitch.oauth import TwitchLogin
from store.vault import SealBroken, Vault

LOGIN_S = 600.0
"""A login must be back after so long."""
LOGINS_MAX = 100
"""So many are under way at once; the oldest go for new ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingLogin:
    """What the exchange needs of a login that has come back."""

    verifier: str = field(repr=False)
    scopes: frozenset[str]
    redirect_url: str


class Logins:
    """The logins of one tenant that are under way."""

    def __init__(
        self,
        state: State,
        vault: Vault,
        login: TwitchLogin,
        *,
        tenant_id: str = "local",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives Unix time."""
        self._state = state.of(tenant_id)
        self._vault = vault
        self._login = login
        self._tenant_id = tenant_id
        self._clock = clock

    async def begin(
        self, browser: str, scopes: Collection[str], redirect_url: str, *, ask: bool
    ) -> str:
        """Return the address of Twitch's question, and remember that this browser was sent there.

        `browser`: the secret of its cookie. `ask`: ask even when the app has been allowed before.

        Raises:
            LoginUnavailable: Twitch cannot be reached.
        """
        state = secrets.token_urlsafe(32)
        asked = await self._login.authorization(
            state=state,
            verifier=secrets.token_urlsafe(48),
            scopes=scopes,
            redirect_url=redirect_url,
            ask=ask,
        )
        row = TwitchLoginRow(
            tenant_id=self._tenant_id,
            state_hash=_hash(state),
            browser_hash=_hash(browser),
            verifier_sealed=self._vault.seal(asked.verifier, self._about(_hash(state))),
            scopes=sorted(scopes),
            redirect_url=redirect_url,
            expires_at_s=self._clock() + LOGIN_S,
        )
        async with self._state.writing() as session:
            mine = TwitchLoginRow.tenant_id == self._tenant_id
            await session.execute(
                delete(TwitchLoginRow).where(mine, TwitchLoginRow.expires_at_s <= self._clock())
            )
            count = await session.scalar(
                select(func.count()).select_from(TwitchLoginRow).where(mine)
            )
            if count is not None and count >= LOGINS_MAX:
                oldest = (
                    select(TwitchLoginRow.state_hash)
                    .where(mine)
                    .order_by(TwitchLoginRow.expires_at_s)
                    .limit(count - LOGINS_MAX + 1)
                )
                await session.execute(
                    delete(TwitchLoginRow).where(mine, TwitchLoginRow.state_hash.in_(oldest))
                )
            insert = await insert_of(session)
            await session.execute(
                insert(TenantRow).values(id=self._tenant_id).on_conflict_do_nothing()
            )
            session.add(row)
        return asked.url

    async def take(self, state: str, browser: str) -> PendingLogin | None:
        """Return the login of this state and end it; None when it is not good (any more)."""
        found = _hash(state)
        key = (TwitchLoginRow.tenant_id == self._tenant_id, TwitchLoginRow.state_hash == found)
        async with self._state.writing() as session:
            query = select(TwitchLoginRow).where(*key).with_for_update()
            row = (await session.execute(query)).scalar_one_or_none()
            if row is None or not hmac.compare_digest(row.browser_hash, _hash(browser)):
                return None
            await session.execute(delete(TwitchLoginRow).where(*key))
        if row.expires_at_s <= self._clock():
            return None
        try:
            verifier = self._vault.open(row.verifier_sealed, self._about(found))
        except SealBroken:
            return None
        return PendingLogin(
            verifier=verifier, scopes=frozenset(row.scopes), redirect_url=row.redirect_url
        )

    def _about(self, state_hash: str) -> str:
        return f"twitch-login/{self._tenant_id}/{state_hash}"


def _hash(secret: str) -> str:
    """The secrets are random and long: a plain hash hides them."""
    return hashlib.sha256(secret.encode()).hexdigest()
