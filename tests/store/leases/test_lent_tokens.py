"""Who is lent a connected channel's token: the holder of its lease, and nobody else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from store.leases import Lease, LeaseLost
from store.state.lease_views import LeaseViews
from store.state.lent_tokens import LentTokens
from store.twitch.errors import NotLent, TokensAway
from store.twitch.tokens import mark_of
from tests.store.leases.lent_world import ANN, LentWorld, lent_world
from tests.store.leases.world import queued, work
from tests.store.state.twitch_world import BOTH

LENT = "clipthat_twitch_tokens_lent_total"


@pytest.fixture
async def lent(database_url: str) -> AsyncIterator[LentWorld]:
    async with lent_world(database_url) as opened:
        yield opened


async def test_the_holder_is_lent_what_its_sockets_need(
    lent: LentWorld, caplog: pytest.LogCaptureFixture
) -> None:
    access = await lent.connect()
    with caplog.at_level(logging.DEBUG):
        token = await lent.lent.lend("a", await lent.take())
    assert (token.user_id, token.login, token.access_token) == ("id of ann", "ann", access)
    assert (token.scopes, token.client_id) == (frozenset(BOTH), "app")
    assert access not in repr(token)
    assert access not in "".join(str(vars(record)) for record in caplog.records)
    assert lent.twitch.double.refreshes == 0
    assert lent.world.numbers.counted(LENT, outcome="lent") == 1


async def test_nobody_else_is_lent_it(lent: LentWorld) -> None:
    await lent.connect()
    lease = await lent.take()
    wrong = (
        ("b", lease),
        ("a", replace(lease, token=lease.token + 1)),
        ("a", replace(lease, id="another")),
        ("a", replace(lease, kind="render")),
    )
    for worker, asked in wrong:
        with pytest.raises(LeaseLost):
            await lent.lent.lend(worker, asked)
    assert lent.world.numbers.counted(LENT, outcome="lost") == len(wrong)


async def test_a_lease_that_is_over_gives_nothing_until_it_is_renewed(lent: LentWorld) -> None:
    await lent.connect()
    lease = await lent.take()
    lent.world.clock.now_s += lease.good_for_s
    with pytest.raises(LeaseLost):
        await lent.lent.lend("a", lease)
    await lent.world.connect("a").heartbeat([lease])
    await lent.lent.lend("a", lease)


async def test_who_lost_the_channel_has_lost_the_token(lent: LentWorld) -> None:
    await lent.connect()
    lease = await lent.take()
    await lent.world.connect("a").release(lease, "drain")
    with pytest.raises(LeaseLost):
        await lent.lent.lend("a", lease)
    second = await lent.take(worker="b")
    await lent.lent.lend("b", second)
    with pytest.raises(LeaseLost):
        await lent.lent.lend("a", lease)


async def test_what_is_not_connected_is_not_lent(lent: LentWorld) -> None:
    lease = await lent.take()
    await lent.connect("another")

    async def check() -> None:
        with pytest.raises(NotLent):
            await lent.lent.lend("a", lease)

    await check()
    await lent.connect()
    await lent.lent.lend("a", lease)
    await lent.accounts.disconnect("id of ann")
    await check()
    await lent.connect()
    await lent.lent.lend("a", lease)
    await lent.accounts.revoked("id of ann")
    await check()


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "hls", "chat": ""},
        {"chat": ""},
        {"chat": "/files/chat.jsonl"},
        {"chat": "irc://irc.example.org/#ann"},
        {"name": "other", "chat": "ann"},
    ],
)
async def test_a_channel_whose_own_chat_is_not_read_needs_no_token(
    lent: LentWorld, changed: dict[str, str]
) -> None:
    await lent.connect()
    lease = await lent.take(replace(ANN, **changed))  # type: ignore[arg-type]
    with pytest.raises(NotLent):
        await lent.lent.lend("a", lease)


async def test_a_render_is_no_channel(lent: LentWorld) -> None:
    await lent.connect()
    await lent.world.book.want("render", "r1", work(queued("r1")))
    held = Lease(kind="render", id="r1", token=1, good_for_s=0.0, tenant_id="acme")
    with pytest.raises(LeaseLost):
        await lent.lent.lend("a", held)


async def test_without_the_scope_for_chat_nothing_is_lent(lent: LentWorld) -> None:
    lease = await lent.take()
    lent.twitch.double.person.user_id = "id of ann"
    access = await lent.connect()
    lent.twitch.double._tokens[access].scopes = ["clips:edit"]
    assert await lent.accounts.validate("id of ann") == "valid"
    with pytest.raises(NotLent, match="not allowed"):
        await lent.lent.lend("a", lease)


async def test_a_token_that_twitch_refuses_is_renewed_here_and_once(lent: LentWorld) -> None:
    access = await lent.connect()
    lease = await lent.take()
    lent.twitch.double.end(access)
    asked = (lent.lent.lend("a", lease, mark_of(access)) for _ in range(5))
    fresh = {token.access_token for token in await asyncio.gather(*asked)}
    assert len(fresh) == 1
    assert access not in fresh
    assert lent.twitch.double.refreshes == 1
    # Who was refused the old one only is given what there is.
    again = await lent.lent.lend("a", lease, mark_of(access))
    assert {again.access_token} == fresh
    assert lent.twitch.double.refreshes == 1


async def test_a_permission_that_is_gone_says_reconnect(lent: LentWorld) -> None:
    access = await lent.connect()
    lease = await lent.take()
    lent.twitch.double.take_back("id of ann")
    with pytest.raises(NotLent):
        await lent.lent.lend("a", lease, mark_of(access))
    assert await lent.accounts.counts() == {"connected": 0, "reconnect": 1}
    assert lent.world.numbers.counted(LENT, outcome="not_connected") == 1


async def test_a_workers_word_ends_no_permission(lent: LentWorld) -> None:
    access = await lent.connect()
    lease = await lent.take()
    for mark in (mark_of(access), mark_of("nonsense"), "x"):
        await lent.lent.lend("a", lease, mark)
    assert await lent.accounts.counts() == {"connected": 1, "reconnect": 0}


async def test_a_login_that_is_away_says_nothing_of_a_permission(lent: LentWorld) -> None:
    access = await lent.connect()
    lease = await lent.take()
    lent.twitch.double.broken = 503
    with pytest.raises(TokensAway):
        await lent.lent.lend("a", lease, mark_of(access))
    assert await lent.accounts.counts() == {"connected": 1, "reconnect": 0}


async def test_a_lease_that_ends_during_a_renewal_gives_nothing(lent: LentWorld) -> None:
    access = await lent.connect()
    lease = await lent.take()
    double = lent.twitch.double
    double.stuck = asyncio.Event()
    asking = asyncio.create_task(lent.lent.lend("a", lease, mark_of(access)))
    await double.came.wait()
    lent.world.clock.now_s += lease.good_for_s
    double.stuck.set()
    with pytest.raises(LeaseLost):
        await asking


async def test_another_tenants_accounts_are_not_lent(lent: LentWorld) -> None:
    await lent.connect()
    lease = await lent.take()
    strange = LentTokens(
        LeaseViews(lent.world.state, tenant_id="acme", clock=lent.world.clock),
        lent.twitch.accounts(lent.world.state, tenant_id="other"),
        client_id="app",
    )
    with pytest.raises(NotLent):
        await strange.lend("a", lease)
