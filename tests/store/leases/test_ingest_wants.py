"""From the watch list to leased channels, and back to how they stand."""

from __future__ import annotations

import pytest

from bus.events import SessionEnded, SessionStarted
from bus.ports import Record
from bus.stage import Ctx
from store.channel_work import ChannelWork
from store.leases import Lease, Want
from store.state.apply import record
from store.state.ingest_wants import IngestWants
from store.state.tables import TenantRow, TwitchAccountRow
from store.state.watchlist import Place, Watchlist
from tests.services.postgres import Postgres
from tests.store.leases.world import TENANT, Outlet, World, open_world

ANN = Place(id="id-ann", name="ann", url="twitch.tv/ann", kind="twitch")
PLAYLIST = Place(
    id="id-hls", name="example.test/a.m3u8", url="https://example.test/a.m3u8", kind="hls"
)
FIXED = ChannelWork(
    id="id-fixed", name="bob", url="twitch.tv/bob", kind="twitch", chat="bob", title="Bob's"
)
CHANNELS = Want(kind="ingest", capacity=10)


@pytest.fixture
def world(book_world: World) -> World:
    return book_world


@pytest.fixture
def watchlist(world: World) -> Watchlist:
    return Watchlist(world.state, tenant_id=TENANT)


@pytest.fixture
def wants(world: World, watchlist: Watchlist) -> IngestWants:
    return IngestWants(world.book, watchlist, fixed=[FIXED])


async def take(world: World) -> dict[str, Lease]:
    return {lease.id: lease for lease in await world.connect("a").acquire(CHANNELS)}


async def stands(watchlist: Watchlist) -> dict[str, tuple[str, str]]:
    return {one.place.id: (one.state, one.detail) for one in await watchlist.listed()}


async def test_what_is_listed_or_fixed_is_leased_with_all_that_it_takes(
    world: World, watchlist: Watchlist, wants: IngestWants
) -> None:
    for place in (ANN, PLAYLIST):
        await watchlist.add(place)
    for _ in range(3):
        await wants.reconcile()
    leases = await take(world)
    works = {name: ChannelWork.of(lease.work) for name, lease in leases.items()}
    assert works == {
        "id-ann": ChannelWork(
            id="id-ann", name="ann", url="twitch.tv/ann", kind="twitch", chat="ann"
        ),
        "id-hls": ChannelWork(
            id="id-hls", name=PLAYLIST.name, url=PLAYLIST.url, kind="hls", chat=""
        ),
        "id-fixed": FIXED,
    }
    assert {lease.token for lease in leases.values()} == {1}


async def test_what_is_taken_off_the_list_is_stopped(
    world: World, watchlist: Watchlist, wants: IngestWants
) -> None:
    for place in (ANN, PLAYLIST):
        await watchlist.add(place)
    await wants.reconcile()
    leases = await take(world)
    await watchlist.remove("id-ann")
    await watchlist.set_always("id-hls", False)
    await wants.reconcile()
    beat = await world.connect("a").heartbeat(list(leases.values()))
    assert sorted(beat.stop) == ["id-ann", "id-hls"]
    for name in beat.stop:
        await world.connect("a").complete(leases[name], {})
    await watchlist.set_always("id-hls", True)
    await wants.reconcile()
    again = await take(world)
    assert {name: lease.token for name, lease in again.items()} == {"id-hls": 2}


async def test_a_channel_says_how_it_stands(
    world: World, watchlist: Watchlist, wants: IngestWants
) -> None:
    await watchlist.add(ANN)
    await wants.reconcile()
    waiting = ("connecting", "waiting for an ingest worker")
    assert await stands(watchlist) == {"id-ann": waiting}
    assert wants.states == dict.fromkeys(("ann", "bob"), ": ".join(waiting))
    (fixed,) = wants.fixed()
    assert (fixed.place.name, fixed.state) == ("bob", "connecting")
    await take(world)
    await wants.reconcile()
    assert await stands(watchlist) == {"id-ann": ("offline", "waiting for the next broadcast")}
    own = {"tenant_id": TENANT, "channel_id": "id-ann", "session_id": "s1"}
    started = SessionStarted(**own, kind="live", title="", source="")
    await record(world.state, [Record("sessions", 0, 0, 1_000.0, started)])
    await wants.reconcile()
    assert await stands(watchlist) == {"id-ann": ("watching", "")}
    assert wants.states["ann"] == "watching"
    ended = SessionEnded(
        **own, media_s=10.0, chat_until_s=10.0, stored_s=10.0, missing_s=0.0, reason="ended"
    )
    await record(world.state, [Record("sessions", 0, 1, 1_010.0, ended)])
    await wants.reconcile()
    assert (await stands(watchlist))["id-ann"][0] == "offline"
    world.clock.now_s += 16
    await wants.reconcile()
    assert await stands(watchlist) == {"id-ann": waiting}
    await watchlist.set_always("id-ann", False)
    await wants.reconcile()
    assert await stands(watchlist) == {"id-ann": ("", "")}


async def test_whose_owner_has_connected_is_heard_over_event_sockets(
    world: World, watchlist: Watchlist, wants: IngestWants
) -> None:
    await watchlist.add(ANN)
    scopes = {"ann": ["user:read:chat"], "bob": ["clips:edit"]}
    async with world.state.writing() as session:
        await session.merge(TenantRow(id=TENANT))
        for name, allowed in scopes.items():
            session.add(
                TwitchAccountRow(tenant_id=TENANT, user_id=name, login=name, scopes=allowed)
            )
    await wants.reconcile()
    works = {name: ChannelWork.of(lease.work) for name, lease in (await take(world)).items()}
    assert {name: one.eventsub for name, one in works.items()} == {
        "id-ann": True,
        "id-fixed": False,
    }


async def test_the_stage_runs_until_drained(world: World, watchlist: Watchlist) -> None:
    wants = IngestWants(world.book, watchlist, fixed=[FIXED], reconcile_s=0.0)
    ctx = Ctx(bus=Outlet())
    reconciled = 0

    class Draining(IngestWants):
        async def reconcile(self) -> None:
            nonlocal reconciled
            await super().reconcile()
            reconciled += 1
            if reconciled == 3:
                ctx.draining.set()

    wants = Draining(world.book, watchlist, fixed=[FIXED], reconcile_s=0.0)
    await wants.run(ctx)
    assert set(await take(world)) == {"id-fixed"}


async def test_a_database_that_is_away_changes_nothing(
    postgres: Postgres, postgres_url: str
) -> None:
    async with open_world(postgres_url) as world:
        ctx = Ctx(bus=Outlet(), meter=world.numbers)
        rounds = 0

        class Shaken(IngestWants):
            async def reconcile(self) -> None:
                nonlocal rounds
                rounds += 1
                if rounds == 2:
                    postgres.stop()
                if rounds == 4:
                    postgres.start()
                if rounds == 5:
                    ctx.draining.set()
                await super().reconcile()

        watchlist = Watchlist(world.state, tenant_id=TENANT)
        await Shaken(world.book, watchlist, fixed=[FIXED], reconcile_s=0.0).run(ctx)
        assert set(await take(world)) == {"id-fixed"}


def test_a_channels_work_survives_the_way() -> None:
    assert ChannelWork.of({**FIXED.as_json(), "newer": 1}) == FIXED
    assert "twitch.tv" not in repr(FIXED)
    with pytest.raises(ValueError, match="no channel's work"):
        ChannelWork.of({"id": "x"})
