"""The keeper of the accounts: asks Twitch about each one in time, as Twitch wants it.

Law: every token is validated when the service starts and within each hour after; one that ends soon
is renewed before it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import Callable

from bus.ports import Meter
from bus.stage import Ctx
from store.state.accounts import Accounts, AccountView
from store.twitch.settings import TwitchSettings

RENEW_BEFORE_S = 900.0
"""A token that ends within so long is renewed."""
SPREAD = 0.1
"""Accounts are asked about earlier than they must be, by up to this share, each by its own."""
ROUND_S = 60.0
"""Pause between two looks at who is due; also before Twitch is asked again when it was down."""


class AccountsKeeper:
    """Stage: validates and renews the connected accounts' tokens."""

    def __init__(
        self,
        accounts: Accounts,
        settings: TwitchSettings,
        *,
        clock: Callable[[], float] = time.time,
        round_s: float = ROUND_S,
    ) -> None:
        """`clock` gives Unix time."""
        self._accounts = accounts
        self._every_s = settings.validate_every_s
        self._clock = clock
        self._round_s = round_s
        self._detail = ""

    @property
    def name(self) -> str:
        """The word in logs and metrics."""
        return "accounts"

    @property
    def detail(self) -> str:
        """How the accounts stand, a few words; empty when none is connected."""
        return self._detail

    async def run(self, ctx: Ctx) -> None:
        """Keep the accounts until drained."""
        await self._accounts.reseal()
        checked: set[str] = set()
        while not ctx.draining.is_set():
            await self.round(ctx.meter, checked)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ctx.draining.wait(), self._round_s)

    async def round(self, meter: Meter, checked: set[str]) -> None:
        """Ask about the accounts that are due, one after the other.

        `checked`: those that have been asked about since the start; it is added to.
        """
        for view in await self._accounts.views():
            if view.status != "connected":
                continue
            if view.user_id not in checked or self._due(view):
                if await self._accounts.validate(view.user_id) != "unavailable":
                    checked.add(view.user_id)
                await self._renew_early(view.user_id)
        counts = await self._accounts.counts()
        for status, count in counts.items():
            meter.gauge("clipthat_twitch_accounts", count, status=status)
        self._detail = _in_words(counts)

    async def _renew_early(self, user_id: str) -> None:
        for view in await self._accounts.views():
            if view.user_id == user_id and self._ends_soon(view):
                token = await self._accounts.token(user_id)
                if token is not None:
                    await self._accounts.refused(token)

    def _due(self, view: AccountView) -> bool:
        own = zlib.crc32(view.user_id.encode()) % 1000 / 1000
        every_s = self._every_s * (1 - SPREAD * own) - self._round_s
        return self._ends_soon(view) or self._clock() >= view.validated_at_s + every_s

    def _ends_soon(self, view: AccountView) -> bool:
        """A token without an end (0 seconds left, says Twitch) is left alone while it is valid."""
        left_s = view.expires_at_s - view.validated_at_s
        return left_s > 0 and self._clock() >= view.expires_at_s - RENEW_BEFORE_S


def _in_words(counts: dict[str, int]) -> str:
    told = {"connected": "connected", "reconnect": "to be reconnected"}
    return ", ".join(
        f"{count} {told.get(status, status)}" for status, count in counts.items() if count
    )
