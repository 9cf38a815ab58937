"""A leased channel whose owner has connected Twitch, and whoever may ask for its token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from store.channel_work import ChannelWork
from store.leases import Lease, Want
from store.state.accounts import Accounts
from store.state.lease_views import LeaseViews
from store.state.lent_tokens import LentTokens
from tests.store.leases.world import TENANT, World, open_world
from tests.store.state.twitch_world import TwitchWorld, twitch_world

ANN = ChannelWork(id="id-ann", name="ann", url="twitch.tv/ann", kind="twitch", chat="ann")
CHANNELS = Want(kind="ingest", capacity=10)


@dataclass(slots=True)
class LentWorld:
    """A book, accounts, and who lends."""

    world: World
    twitch: TwitchWorld
    accounts: Accounts
    lent: LentTokens

    async def take(self, work: ChannelWork = ANN, worker: str = "a") -> Lease:
        """Want a channel watched, and have a worker take it."""
        await self.world.book.want("ingest", work.id, work.as_json())
        (lease,) = await self.world.connect(worker).acquire(CHANNELS)
        return lease

    async def connect(self, login: str = "ann") -> str:
        """Have a channel's owner connect; returns the access token."""
        access, _ = await self.twitch.connect(self.accounts, f"id of {login}", login)
        return access


@asynccontextmanager
async def lent_world(url: str) -> AsyncIterator[LentWorld]:
    """Open them on a database."""
    async with open_world(url) as world, twitch_world() as twitch:
        accounts = twitch.accounts(world.state, tenant_id=TENANT)
        views = LeaseViews(world.state, tenant_id=TENANT, clock=world.clock)
        lent = LentTokens(views, accounts, client_id=twitch.double.client_id, meter=world.numbers)
        yield LentWorld(world, twitch, accounts, lent)
