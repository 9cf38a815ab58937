"""What the service has of Twitch besides the resolver: accounts, readers, the API, the watch list.

Law: one of each in a process; the readers are closed when the context ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.chat.eventsub import EventSubHub
from ops.bootstrap import Parts
from ops.errors import OpsError
from store.errors import StoreError
from store.state.accounts import Accounts
from store.state.accounts_keeper import AccountsKeeper
from store.state.logins import Logins
from store.state.native_clips import NativeClips
from store.state.state import State
from store.state.watchlist import Watchlist
from store.twitch.helix import Helix
from store.twitch.oauth import TwitchLogin
from store.vault import open_vault
from web.connect import TwitchAccess


@dataclass(frozen=True, kw_only=True, slots=True)
class TwitchParts:
    """One process's part of Twitch."""

    access: TwitchAccess
    keeper: AccountsKeeper
    eventsub: EventSubHub
    native_clips: NativeClips
    watchlist: Watchlist


@asynccontextmanager
async def open_twitch(parts: Parts, state: State, folder: Path) -> AsyncIterator[TwitchParts]:
    """Open the accounts and the event sockets for as long as the context is open.

    Args:
        parts: what the process is made of.
        state: where the accounts stand.
        folder: where the key lies that seals tokens, when the settings name none.

    Raises:
        OpsError: a key cannot be used, and why.
    """
    settings, tenant_id = parts.settings.twitch, parts.settings.tenant_id
    try:
        vault = open_vault(settings.token_keys, folder / "secrets" / "twitch-tokens.key")
    except StoreError as error:
        raise OpsError(str(error)) from error
    login = TwitchLogin(settings)
    accounts = Accounts(state, vault, login, tenant_id=tenant_id, meter=parts.meter)
    eventsub = EventSubHub(
        settings, accounts, eventsub=parts.settings.chat.eventsub, meter=parts.meter
    )
    try:
        yield TwitchParts(
            access=TwitchAccess(
                accounts=accounts,
                logins=Logins(state, vault, login, tenant_id=tenant_id),
                changed=eventsub.look_again,
            ),
            keeper=AccountsKeeper(accounts, settings),
            eventsub=eventsub,
            native_clips=NativeClips(
                state, Helix(settings, accounts), accounts, settings, tenant_id=tenant_id
            ),
            watchlist=Watchlist(state, tenant_id=tenant_id),
        )
    finally:
        await eventsub.close()
