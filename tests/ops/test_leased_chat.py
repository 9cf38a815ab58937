"""A leased channel's event socket: it comes and goes with the lease, and with the account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus.stage import Ctx
from ingest.chat.eventsub import EventSubHub
from ingest.chat.twitch_chat import TwitchChat
from ops.leased_ingest import LeasedIngest
from store.channel_work import ChannelWork
from store.held_lease import HeldLease
from store.leased_tokens import LeasedTokens
from store.leases import Beat, Lease
from store.twitch.tokens import UserToken
from tests.doubles.hand_timer import HandTimer
from tests.doubles.leases import Desk
from tests.ingest.chat.eventsub_world import START_S, World, passing, twitch, until
from tests.ingest.chat.test_twitch_chat import AnonymousReader
from tests.ops.test_leased_ingest import BEAT_S, QUICK, Bus

CHAT = "channel.chat.message"


class Chat:
    """A watch that reads its channel's chat and nothing else."""

    name = "chat"

    def __init__(self, chat: TwitchChat, stop: asyncio.Event) -> None:
        self.watching = asyncio.Event()
        self._chat, self._stop = chat, stop

    async def run(self, ctx: Ctx) -> None:
        await self._chat.open(START_S)
        self.watching.set()
        waits = {asyncio.create_task(each.wait()) for each in (self._stop, ctx.draining)}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await self._chat.close()

    async def end_lost(self, ctx: Ctx) -> bool:
        return True


class Worker:
    """An ingest worker with a hub of its own; its lender knows Twitch's double."""

    def __init__(self, world: World) -> None:
        self.world, self.timer, self.irc = world, HandTimer(), AnonymousReader()
        self.desk = ConnectedDesk(world)
        self.tokens = LeasedTokens(self)
        self.hub = EventSubHub(world.settings, self.tokens, meter=world.meter, timer=world.timer)
        self.lent: list[tuple[str, int]] = []
        self.ctx = Ctx(bus=Bus())  # type: ignore[arg-type]

    async def lend(self, lease: Lease, refused: str = "") -> UserToken | None:
        self.lent.append((lease.id, lease.token))
        return await self.world.tokens.of(lease.id)

    async def make(self, work: ChannelWork, held: HeldLease, stop: asyncio.Event) -> Chat:
        self.tokens.hold(work, held)
        chat = TwitchChat(
            work.name,
            irc=self.irc,
            eventsub=self.hub,
            timer=self.world.timer,
            meter=self.world.meter,
        )
        return Chat(chat, stop)

    def heard(self, beat: Beat) -> None:
        for login in self.tokens.heard(beat):
            self.hub.look_again(login)

    async def beat(self) -> None:
        """Have the leases renewed."""
        beats = self.desk.beats
        await until(lambda: self.timer.sleepers)
        self.timer.advance(BEAT_S)
        await until(lambda: self.desk.beats > beats)

    @asynccontextmanager
    async def running(self, login: str) -> AsyncIterator[None]:
        """Give the channel out, and work until the end."""
        connected = self.desk.is_connected(login)
        work = ChannelWork(
            id=login, name=login, url=login, kind="twitch", chat=login, eventsub=connected
        )
        self.desk.works[login] = work.as_json()
        self.desk.waiting.append(login)
        stage = LeasedIngest(
            self.make,
            self.desk,
            QUICK,
            channels_max=2,
            beat_s=BEAT_S,
            heard=self.heard,
            look_every_s=0.01,
            timer=self.timer,
        )
        try:
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(stage.run(self.ctx))
                yield
                self.ctx.draining.set()
        finally:
            await self.hub.close()


class ConnectedDesk(Desk):
    """Also tells who has connected."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def is_connected(self, login: str) -> bool:
        return bool(self._world.double.accounts[login].token)

    async def heartbeat(self, held: list[Lease]) -> Beat:  # type: ignore[override]
        beat = await super().heartbeat(held)
        connected = tuple(name for name in beat.kept if self.is_connected(name))
        return Beat(kept=beat.kept, lost=beat.lost, stop=beat.stop, connected=connected)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with twitch() as running:
        yield running


async def test_the_socket_ends_with_the_lease_and_the_next_one_begins_its_own(
    world: World,
) -> None:
    world.account("ana")
    first, second = Worker(world), Worker(world)
    async with first.running("ana"):
        await world.double.until(lambda: world.double.subscribed("ana", CHAT))
        async with second.running("ana"):
            await world.double.until(lambda: world.double.listeners("ana", CHAT) == 2)
            first.desk.lost.append("ana")
            await first.beat()
            await world.double.until(lambda: world.double.listeners("ana", CHAT) == 1)
            await until(lambda: not first.hub._api._client.tokens)
        await world.double.until(lambda: not world.double.sessions)
    assert first.lent == second.lent == [("ana", 1)]
    assert not first.irc.attached + second.irc.attached


async def test_who_connects_and_disconnects_meanwhile_is_noticed_with_the_next_heartbeat(
    world: World,
) -> None:
    account = world.account("ana", connected=False)
    worker = Worker(world)
    async with worker.running("ana"):
        await until(lambda: worker.irc.rooms)
        await worker.beat()
        assert worker.lent == [], "nobody has connected: control is not asked"
        account.token = "token-ana"
        await worker.beat()
        await world.double.until(lambda: world.double.subscribed("ana", CHAT))
        await passing(world.timer, lambda: not worker.irc.rooms)
        account.token = ""
        await worker.beat()
        await until(lambda: worker.irc.rooms)
        await world.double.until(lambda: not world.double.sessions)
