"""Accounts: one renewal at a time, nothing in clear, nothing lost, nobody else's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.local import LocalBus
from bus.stage import Ctx
from store.state.accounts import Accounts
from store.state.accounts_keeper import AccountsKeeper
from store.state.state import State
from store.twitch.tokens import Tokens, UserToken
from tests.store.state.fresh import fresh_database
from tests.store.state.twitch_world import BOTH, KEY, OTHER_KEY, TwitchWorld, twitch_world


@pytest.fixture
async def world() -> AsyncIterator[TwitchWorld]:
    async with twitch_world() as serving:
        yield serving


async def token_of(accounts: Tokens, login: str = "streamer") -> UserToken:
    token = await accounts.of(login)
    assert token is not None
    return token


async def standing(accounts: Accounts) -> list[tuple[str, str, str]]:
    return [(view.login, view.status, view.reason) for view in await accounts.views()]


async def test_a_token_is_given_to_its_own_tenant(world: TwitchWorld, state: State) -> None:
    accounts, stranger = world.accounts(state), world.accounts(state, tenant_id="other")
    access, _ = await world.connect(accounts)
    token = await token_of(accounts, "STREAMER")
    assert token == UserToken(
        user_id="1001", login="streamer", access_token=access, scopes=frozenset(BOTH)
    )
    assert access not in repr(token)
    assert await accounts.of("somebody") is None
    assert await stranger.of("streamer") is None
    assert await stranger.views() == []
    await stranger.revoked("1001")
    assert await stranger.disconnect("1001")
    assert await stranger.refused(token) is None
    assert await token_of(accounts) == token
    assert world.double.revoked == []


async def test_many_that_are_refused_renew_once(world: TwitchWorld, database_url: str) -> None:
    async with State.open(database_url) as one, State.open(database_url) as two:
        here, there = world.accounts(one), world.accounts(two)
        access, refresh = await world.connect(here)
        old = await token_of(here)
        world.double.end(access)
        world.double.stuck = asyncio.Event()
        asking = [asyncio.create_task(each.refused(old)) for each in (here, there) * 20]
        await world.double.came.wait()
        world.double.stuck.set()
        fresh = await asyncio.gather(*asking)
        assert world.double.refreshes == 1
        assert len({each.access_token for each in fresh if each is not None}) == 1
        assert None not in fresh
        new = await token_of(there)
        assert new == fresh[0]
        assert world.double.knows(new.access_token)
        # Who comes late with the old one is given the fresh one.
        assert await there.refused(old) == new
        assert world.double.refreshes == 1
        # The refresh token was replaced too: the next renewal works with the new one.
        world.double.end(new.access_token)
        assert await here.refused(new) is not None
        assert world.double.refreshes == 2
        assert refresh in world.double.issued


async def test_a_renewal_outlives_who_asked_for_it(world: TwitchWorld, state: State) -> None:
    accounts = world.accounts(state)
    access, _ = await world.connect(accounts)
    old = await token_of(accounts)
    world.double.end(access)
    world.double.stuck = asyncio.Event()
    asking = asyncio.create_task(accounts.refused(old))
    await world.double.came.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    world.double.stuck.set()
    fresh = await accounts.refused(old)
    assert fresh is not None
    assert world.double.knows(fresh.access_token)
    assert world.double.refreshes == 1


async def test_who_died_while_renewing_holds_nobody_up(
    world: TwitchWorld, database_url: str
) -> None:
    async with State.open(database_url) as state:
        world.sleep = world.wait
        accounts = world.accounts(state)
        access, _ = await world.connect(accounts)
        old = await token_of(accounts)
        dead = world.accounts(state)
        assert await dead._take(old) is not None
        world.double.end(access)
        fresh = await accounts.refused(old)
        assert fresh is not None
        assert fresh.access_token != access


async def test_a_gone_permission_says_reconnect(world: TwitchWorld, state: State) -> None:
    accounts = world.accounts(state)
    await world.connect(accounts)
    await world.connect(accounts, "1002", "second")
    world.double.take_back("1001")
    assert await accounts.refused(await token_of(accounts)) is None
    assert await accounts.of("streamer") is None
    await accounts.revoked("1002")
    assert await standing(accounts) == [
        ("second", "reconnect", "revoked"),
        ("streamer", "reconnect", "refused"),
    ]
    assert await accounts.counts() == {"connected": 0, "reconnect": 2}
    await world.connect(accounts)
    assert ("streamer", "connected", "") in await standing(accounts)


@pytest.mark.parametrize("status", [500, 503, 429, 403])
async def test_a_broken_login_costs_no_permission(
    world: TwitchWorld, state: State, status: int
) -> None:
    accounts = world.accounts(state)
    access, _ = await world.connect(accounts)
    old = await token_of(accounts)
    world.double.end(access)
    world.double.broken = status
    assert await accounts.refused(old) is None
    assert await accounts.validate("1001") == "unavailable"
    assert await token_of(accounts) == old
    world.double.broken = 0
    assert await accounts.refused(old) is not None


async def test_a_wrongly_set_app_costs_no_permission(world: TwitchWorld, state: State) -> None:
    accounts = world.accounts(state)
    access, _ = await world.connect(accounts)
    old = await token_of(accounts)
    world.double.end(access)
    for field, value in (("client_id", "another"), ("client_secret", "another")):
        before = getattr(world.double, field)
        setattr(world.double, field, value)
        assert await accounts.refused(old) is None
        setattr(world.double, field, before)
    assert await standing(accounts) == [("streamer", "connected", "")]


async def test_another_key_says_reconnect_and_the_right_one_heals(
    world: TwitchWorld, state: State
) -> None:
    access, _ = await world.connect(world.accounts(state))
    wrong = world.accounts(state, OTHER_KEY)
    assert await wrong.of("streamer") is None
    assert await standing(wrong) == [("streamer", "reconnect", "key")]
    right = world.accounts(state)
    assert await right.reseal() == 1
    assert (await token_of(right)).access_token == access


async def test_a_new_key_seals_all_anew(world: TwitchWorld, state: State) -> None:
    access, _ = await world.connect(world.accounts(state))
    turning = world.accounts(state, OTHER_KEY, KEY)
    assert await turning.reseal() == 1
    assert await turning.reseal() == 0
    alone = world.accounts(state, OTHER_KEY)
    assert (await token_of(alone)).access_token == access
    world.double.end(access)
    assert await alone.refused(await token_of(alone)) is not None


async def test_nothing_lies_in_clear(
    world: TwitchWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with State.open(await fresh_database(tmp_path)) as state:
        accounts = world.accounts(state)
        access, _ = await world.connect(accounts)
        world.double.end(access)
        await accounts.validate("1001")
        url = await world.logins(state).begin("b" * 43, BOTH, "http://localhost/x", ask=False)
        world.double.broken = 500
        await accounts.refused(await token_of(accounts))
    login_state = url.partition("state=")[2].partition("&")[0]
    hidden = [*world.double.issued, world.double.client_secret, login_state, "b" * 43]
    for path in tmp_path.iterdir():
        held = path.read_bytes()
        assert not any(secret.encode() in held for secret in hidden), path
    # HTTP debug logs of the client library name addresses and headers' names only.
    told = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith("aiosqlite"))
    assert not any(secret in told for secret in world.double.issued)


async def test_disconnecting_gives_back_and_forgets(world: TwitchWorld, state: State) -> None:
    accounts = world.accounts(state)
    access, _ = await world.connect(accounts)
    assert await accounts.disconnect("1001")
    assert world.double.revoked == [access]
    assert await accounts.views() == []
    await world.connect(accounts)
    world.double.broken = 503
    assert not await accounts.disconnect("1001")
    assert await accounts.views() == []


async def test_the_keeper_asks_at_the_start_and_each_hour(world: TwitchWorld, state: State) -> None:
    accounts = world.accounts(state)
    for number in range(3):
        await world.connect(accounts, str(number), f"name{number}")
    world.double.lives_s = 1e6
    keeper = AccountsKeeper(accounts, world.settings(), clock=world.clock)
    checked: set[str] = set()
    await keeper.round(world.meter, checked)
    assert sorted(world.double.validations) == ["0", "1", "2"]
    await keeper.round(world.meter, checked)
    assert len(world.double.validations) == 3
    world.clock.now_s += 3_540.0
    await keeper.round(world.meter, checked)
    assert len(world.double.validations) == 6
    assert world.meter.gauges["clipthat_twitch_accounts connected"] == 3
    assert keeper.detail == "3 connected"


async def test_the_keeper_renews_what_ends_and_finds_what_is_gone(
    world: TwitchWorld, state: State
) -> None:
    accounts = world.accounts(state)
    await world.connect(accounts, "1", "ends")
    await world.connect(accounts, "2", "gone")
    keeper = AccountsKeeper(accounts, world.settings(), clock=world.clock)
    checked: set[str] = set()
    await keeper.round(world.meter, checked)
    before = await token_of(accounts, "ends")
    world.double.take_back("2")
    world.clock.now_s += world.double.lives_s - 600.0
    await keeper.round(world.meter, checked)
    after = await token_of(accounts, "ends")
    assert after != before
    assert world.double.knows(after.access_token)
    assert await accounts.of("gone") is None
    assert world.meter.gauges["clipthat_twitch_accounts reconnect"] == 1
    assert keeper.detail == "1 connected, 1 to be reconnected"


async def test_the_keeper_asks_again_after_an_outage(world: TwitchWorld, state: State) -> None:
    accounts = world.accounts(state)
    await world.connect(accounts)
    keeper = AccountsKeeper(accounts, world.settings(), clock=world.clock)
    checked: set[str] = set()
    world.double.broken = 503
    await keeper.round(world.meter, checked)
    assert checked == set()
    world.double.broken = 0
    await keeper.round(world.meter, checked)
    assert checked == {"1001"}
    assert world.meter.counts["clipthat_twitch_validations_total unavailable"] == 1


async def test_the_keeper_runs_until_drained(
    world: TwitchWorld, state: State, tmp_path: Path
) -> None:
    accounts = world.accounts(state)
    await world.connect(accounts)
    keeper = AccountsKeeper(accounts, world.settings(), clock=world.clock)
    async with LocalBus.open(tmp_path / "bus.db") as bus, asyncio.timeout(60):
        ctx = Ctx(bus=bus, meter=world.meter)
        running = asyncio.create_task(keeper.run(ctx))
        await world.double.asked_about.wait()
        ctx.draining.set()
        await running
    assert keeper.name == "accounts"


async def test_a_new_name_is_noticed(world: TwitchWorld, state: State) -> None:
    accounts = world.accounts(state)
    access, _ = await world.connect(accounts)
    world.double._tokens[access].person.login = "renamed"
    assert await accounts.validate("1001") == "valid"
    assert await accounts.of("streamer") is None
    assert (await token_of(accounts, "renamed")).access_token == access
