"""Connected Twitch accounts: their tokens, given out, renewed and forgotten.

Law: a token lies in the database sealed; it is renewed by one at a time, in all processes together;
what Twitch has renewed is stored before anybody uses it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bus.ports import Meter, SilentMeter
from store.state.state import State
from store.state.tables import TenantRow, TwitchAccountRow
from store.twitch.errors import LoginRefused, LoginUnavailable
from store.twitch.grants import Grant, Holder
from store.twitch.oauth import TwitchLogin
from store.twitch.tokens import UserToken
from store.vault import SealBroken, Vault

log = logging.getLogger(__name__)

LEASE_S = 60.0
"""Who renews a token and does not come back is given up after so long."""
LOOK_S = 0.25
"""Who waits for another's renewal looks so often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountView:
    """An account, for a page. Holds no token."""

    user_id: str
    login: str
    scopes: frozenset[str]
    status: str
    """`connected`, `reconnect`."""
    reason: str
    """Why it must be reconnected: `revoked`, `refused`, `key`."""
    expires_at_s: float
    validated_at_s: float
    connected_at_s: float


class Accounts:
    """The connected accounts of one tenant. Implements store.twitch.tokens.Tokens."""

    def __init__(
        self,
        state: State,
        vault: Vault,
        login: TwitchLogin,
        *,
        tenant_id: str = "local",
        meter: Meter | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`clock` gives Unix time; `sleep` waits for seconds."""
        self._state = state.of(tenant_id)
        self._vault = vault
        self._login = login
        self._tenant_id = tenant_id
        self._meter = meter or SilentMeter()
        self._clock = clock
        self._sleep = sleep
        self._renewing: dict[str, asyncio.Task[UserToken | None]] = {}

    @property
    def login(self) -> TwitchLogin:
        """The login that these accounts came through."""
        return self._login

    async def of(self, login: str) -> UserToken | None:
        """Return a channel's token; None when it is not connected or must be reconnected."""
        query = (
            self._select()
            .where(TwitchAccountRow.login == login.lower())
            .where(TwitchAccountRow.status == "connected")
            .order_by(TwitchAccountRow.connected_at_s.desc())
            .limit(1)
        )
        async with self._state.reading() as session:
            row = (await session.execute(query)).scalar_one_or_none()
        return None if row is None else await self._opened(row)

    async def token(self, user_id: str) -> UserToken | None:
        """Return an account's token; None when there is none that can be used."""
        row = await self._row(user_id)
        return None if row is None or row.status != "connected" else await self._opened(row)

    async def refused(self, token: UserToken) -> UserToken | None:
        """Return a fresh token for one that Twitch answered 401 to.

        However many ask, it is renewed once; who comes second is given the fresh one. None when the
        permission is gone, and also when Twitch cannot be asked now: then the account stays
        connected, and the next who is refused tries again.
        """
        while True:
            running = self._renewing.get(token.user_id)
            if running is None or running.done():
                # A task of its own: who asked may be cancelled, what Twitch gives is stored.
                running = asyncio.create_task(self._renewed(token))
                self._renewing[token.user_id] = running
            fresh = await asyncio.shield(running)
            if fresh is None or not _same(fresh.access_token, token.access_token):
                return fresh

    async def revoked(self, user_id: str) -> None:
        """Forget an account's tokens: the streamer has taken the permission back."""
        row = await self._row(user_id)
        if row is not None and row.status == "connected":
            await self._give_up(row, "revoked")

    async def connect(self, grant: Grant, holder: Holder) -> None:
        """Store a permission that has just been given; it takes the place of an earlier one."""
        now_s = self._clock()
        row: dict[str, Any] = {
            "tenant_id": self._tenant_id,
            "user_id": holder.user_id,
            "login": holder.login,
            **self._sealed(holder.user_id, grant),
            "scopes": sorted(holder.scopes),
            "status": "connected",
            "reason": "",
            "expires_at_s": now_s + holder.expires_in_s,
            "validated_at_s": now_s,
            "connected_at_s": now_s,
            "refresher": "",
            "refresher_until_s": 0.0,
        }
        async with self._state.writing() as session:
            insert = await insert_of(session)
            await session.execute(
                insert(TenantRow).values(id=self._tenant_id).on_conflict_do_nothing()
            )
            told = {name: value for name, value in row.items() if name not in _KEY}
            await session.execute(
                insert(TwitchAccountRow)
                .values(**row)
                .on_conflict_do_update(index_elements=list(_KEY), set_=told)
            )

    async def disconnect(self, user_id: str) -> bool:
        """Forget an account and give its permission back.

        Returns whether Twitch knows: False when it could not be told, and the streamer should
        remove ClipThat in Twitch's own settings.
        """
        row = await self._row(user_id)
        if row is None:
            return True
        token = self._open(row)
        async with self._state.writing() as session:
            await session.execute(delete(TwitchAccountRow).where(*self._key(user_id)))
        if token is None:
            return row.reason == "revoked"
        try:
            await self._login.revoke(token.access_token)
        except LoginUnavailable:
            return False
        return True

    async def views(self) -> list[AccountView]:
        """Return the tenant's accounts by name."""
        async with self._state.reading() as session:
            rows = (
                await session.execute(self._select().order_by(TwitchAccountRow.login))
            ).scalars()
            return [
                AccountView(
                    user_id=row.user_id,
                    login=row.login,
                    scopes=frozenset(row.scopes),
                    status=row.status,
                    reason=row.reason,
                    expires_at_s=row.expires_at_s,
                    validated_at_s=row.validated_at_s,
                    connected_at_s=row.connected_at_s,
                )
                for row in rows
            ]

    async def counts(self) -> dict[str, int]:
        """Return how many accounts stand how."""
        query = (
            select(TwitchAccountRow.status, func.count())
            .where(TwitchAccountRow.tenant_id == self._tenant_id)
            .group_by(TwitchAccountRow.status)
        )
        async with self._state.reading() as session:
            found = (await session.execute(query)).all()
        counts = {"connected": 0, "reconnect": 0}
        for status, count in found:
            counts[status] = count
        return counts

    async def validate(self, user_id: str) -> str:
        """Ask Twitch whether an account's token is good, and renew one that is not.

        Returns how it went: `valid`, `refused`, `unavailable`, or `none` when there is no token.
        """
        token = await self.token(user_id)
        if token is None:
            return "none"
        outcome = await self._validated(token)
        self._meter.count("clipthat_twitch_validations_total", outcome=outcome)
        return outcome

    async def reseal(self) -> int:
        """Seal anew what an older key has sealed, and find out what no key opens.

        Returns how many accounts were sealed anew. One whose key has come back is connected again.
        """
        count = 0
        for view in await self.views():
            row = await self._row(view.user_id)
            if row is not None and row.access_sealed:
                count += await self._resealed(row)
        return count

    async def _resealed(self, row: TwitchAccountRow) -> bool:
        token, refresh_token = self._open(row), self._open_refresh(row)
        if token is None or refresh_token is None:
            await self._give_up(row, "key")
            return False
        outdated = any(map(self._vault.outdated, (row.access_sealed, row.refresh_sealed)))
        if not outdated and row.status == "connected":
            return False
        grant = Grant(
            access_token=token.access_token,
            refresh_token=refresh_token,
            scopes=token.scopes,
            expires_in_s=0.0,
        )
        sealed = self._sealed(row.user_id, grant)
        return await self._change(row, **sealed, status="connected", reason="")

    async def _validated(self, token: UserToken) -> str:
        try:
            holder = await self._login.validate(token.access_token)
        except LoginRefused:
            return "refused" if await self.refused(token) is None else "valid"
        except LoginUnavailable:
            return "unavailable"
        if holder.user_id != token.user_id:
            return "unavailable"  # an answer about somebody else says nothing about this account
        row = await self._row(token.user_id)
        if row is not None:
            now_s = self._clock()
            await self._change(
                row,
                login=holder.login,
                scopes=sorted(holder.scopes),
                expires_at_s=now_s + holder.expires_in_s,
                validated_at_s=now_s,
            )
        return "valid"

    async def _renewed(self, token: UserToken) -> UserToken | None:
        """Renew a token, or wait until another process has."""
        while (row := await self._take(token)) is None:
            fresh = await self.token(token.user_id)
            if fresh is None or not _same(fresh.access_token, token.access_token):
                return fresh
            await self._sleep(LOOK_S)
        return await self._renew(row)

    async def _take(self, token: UserToken) -> TwitchAccountRow | None:
        """Take the right to renew this very token; None when another has it, or has renewed it."""
        now_s = self._clock()
        async with self._state.writing() as session:
            query = self._select().where(*self._key(token.user_id)).with_for_update()
            row: TwitchAccountRow | None = (await session.execute(query)).scalar_one_or_none()
            if row is None or row.status != "connected" or row.refresher_until_s > now_s:
                return None
            held = self._open(row)
            if held is None or not _same(held.access_token, token.access_token):
                return None
            row.refresher = secrets.token_hex(16)
            row.refresher_until_s = now_s + LEASE_S
        return row

    async def _renew(self, row: TwitchAccountRow) -> UserToken | None:
        """Renew a token whose right to renew is ours."""
        refresh_token = self._open_refresh(row)
        if refresh_token is None:
            await self._give_up(row, "key")
            return None
        try:
            grant = await self._login.refresh(refresh_token)
        except LoginRefused:
            self._count("refused")
            await self._give_up(row, "refused")
            return await self.token(row.user_id)  # somebody may have connected it meanwhile
        except LoginUnavailable as error:
            self._count("unavailable")
            log.warning("a Twitch token could not be renewed", extra={"reason": str(error)})
            await self._let_go(row)
            return None
        now_s = self._clock()
        stored = await self._change(
            row,
            **self._sealed(row.user_id, grant),
            scopes=sorted(grant.scopes or row.scopes),
            expires_at_s=now_s + grant.expires_in_s,
            validated_at_s=now_s,
            refresher="",
            refresher_until_s=0.0,
        )
        self._count("fresh" if stored else "lost")
        return await self.token(row.user_id)

    def _count(self, outcome: str) -> None:
        self._meter.count("clipthat_twitch_refreshes_total", outcome=outcome)

    async def _let_go(self, row: TwitchAccountRow) -> None:
        async with self._state.writing() as session:
            await session.execute(
                update(TwitchAccountRow)
                .where(*self._key(row.user_id), TwitchAccountRow.refresher == row.refresher)
                .values(refresher="", refresher_until_s=0.0)
            )

    async def _give_up(self, row: TwitchAccountRow, reason: str) -> None:
        """Say that an account must be reconnected, unless it has been meanwhile."""
        sealed = {} if reason == "key" else {"access_sealed": "", "refresh_sealed": ""}
        if await self._change(row, status="reconnect", reason=reason, **sealed):
            log.warning("a Twitch account must be reconnected", extra={"reason": reason})

    async def _change(self, row: TwitchAccountRow, **values: Any) -> bool:
        """Change a row that still holds the token it was read with."""
        async with self._state.writing() as session:
            result = await session.execute(
                update(TwitchAccountRow)
                .where(*self._key(row.user_id), TwitchAccountRow.access_sealed == row.access_sealed)
                .values(**values)
            )
            assert isinstance(result, CursorResult)
            return bool(result.rowcount)

    async def _row(self, user_id: str) -> TwitchAccountRow | None:
        async with self._state.reading() as session:
            query = self._select().where(*self._key(user_id))
            row: TwitchAccountRow | None = (await session.execute(query)).scalar_one_or_none()
            return row

    async def _opened(self, row: TwitchAccountRow) -> UserToken | None:
        """Return the token; an account that no key opens any more must be reconnected."""
        token = self._open(row)
        if token is None:
            await self._give_up(row, "key")
        return token

    def _open(self, row: TwitchAccountRow) -> UserToken | None:
        try:
            access = self._vault.open(row.access_sealed, self._about(row.user_id, "access"))
        except SealBroken:
            return None
        return UserToken(
            user_id=row.user_id,
            login=row.login,
            access_token=access,
            scopes=frozenset(row.scopes),
        )

    def _open_refresh(self, row: TwitchAccountRow) -> str | None:
        try:
            return self._vault.open(row.refresh_sealed, self._about(row.user_id, "refresh"))
        except SealBroken:
            return None

    def _sealed(self, user_id: str, grant: Grant) -> dict[str, str]:
        return {
            "access_sealed": self._vault.seal(grant.access_token, self._about(user_id, "access")),
            "refresh_sealed": self._vault.seal(
                grant.refresh_token, self._about(user_id, "refresh")
            ),
        }

    def _about(self, user_id: str, kind: str) -> str:
        return f"twitch/{self._tenant_id}/{user_id}/{kind}"

    def _key(self, user_id: str) -> tuple[Any, ...]:
        return (
            TwitchAccountRow.tenant_id == self._tenant_id,
            TwitchAccountRow.user_id == user_id,
        )

    def _select(self) -> Any:
        return select(TwitchAccountRow).where(TwitchAccountRow.tenant_id == self._tenant_id)


_KEY = ("tenant_id", "user_id")


async def insert_of(session: AsyncSession) -> Any:
    """Return the INSERT of this database that knows ON CONFLICT."""
    connection = await session.connection()
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
