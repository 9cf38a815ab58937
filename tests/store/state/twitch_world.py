"""Accounts over a real database and Twitch's login over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from store.state.accounts import Accounts
from store.state.logins import Logins
from store.state.state import State
from store.twitch.grants import Grant, Holder
from store.twitch.oauth import TwitchLogin
from store.twitch.settings import TwitchSettings
from store.vault import Vault
from tests.doubles.twitch.login import Person, TwitchLoginDouble
from tests.doubles.twitch.server import serving

KEY = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
OTHER_KEY = "Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0M="
BOTH = ["clips:edit", "user:read:chat"]


@dataclass(slots=True)
class Clock:
    """Unix time that stands still until it is moved."""

    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(slots=True)
class Counted:
    """A meter that keeps what it is told."""

    counts: dict[str, float] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        key = " ".join((name, *labels.values()))
        self.counts[key] = self.counts.get(key, 0.0) + by

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[" ".join((name, *labels.values()))] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        raise AssertionError(name)


@dataclass(slots=True)
class TwitchWorld:
    """Twitch's login, and how to reach it."""

    double: TwitchLoginDouble
    address: str
    clock: Clock
    meter: Counted = field(default_factory=Counted)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def settings(self, **told: object) -> TwitchSettings:
        return TwitchSettings(
            client_id=self.double.client_id,
            client_secret=self.double.client_secret,
            id_url=f"{self.address}/oauth2",
            timeout_s=60.0,
            **told,  # type: ignore[arg-type]
        )

    def login(self) -> TwitchLogin:
        return TwitchLogin(self.settings())

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now_s += seconds

    def accounts(self, state: State, *keys: str, tenant_id: str = "acme") -> Accounts:
        return Accounts(
            state,
            Vault(keys or (KEY,)),
            self.login(),
            tenant_id=tenant_id,
            meter=self.meter,
            clock=self.clock,
            sleep=self.sleep,
        )

    def logins(self, state: State, *, tenant_id: str = "acme") -> Logins:
        return Logins(state, Vault([KEY]), self.login(), tenant_id=tenant_id, clock=self.clock)

    async def connect(
        self, accounts: Accounts, user_id: str = "1001", login: str = "streamer"
    ) -> tuple[str, str]:
        """Store a permission; returns its access and refresh token."""
        access, refresh = self.double.give(Person(user_id, login), BOTH)
        lives_s = self.double.lives_s
        scopes = frozenset(BOTH)
        await accounts.connect(
            Grant(access_token=access, refresh_token=refresh, scopes=scopes, expires_in_s=lives_s),
            Holder(user_id=user_id, login=login, scopes=scopes, expires_in_s=lives_s),
        )
        return access, refresh


@asynccontextmanager
async def twitch_world() -> AsyncIterator[TwitchWorld]:
    """Serve Twitch's login."""
    clock = Clock()
    double = TwitchLoginDouble(clock=clock)
    async with serving(double) as address:
        yield TwitchWorld(double, address, clock)
