"""A worker's tokens: asked for under a good lease, for channels whose owner has connected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from bus.errors import Unavailable
from store.channel_work import ChannelWork
from store.control_tokens import ControlTokens
from store.held_lease import HeldLease
from store.leased_tokens import LeasedTokens
from store.leases import Beat, Lease
from store.twitch.errors import TokensAway
from store.twitch.tokens import UserToken, mark_of
from tests.doubles.hand_timer import HandTimer
from tests.store.leases.world import client

ANN = ChannelWork(
    id="id-ann", name="ann", url="twitch.tv/ann", kind="twitch", chat="ann", eventsub=True
)
LEASE = Lease(kind="ingest", id="id-ann", token=3, good_for_s=15.0, tenant_id="acme")
TOKEN = UserToken(user_id="7", login="ann", access_token="secret", scopes=frozenset())


class Lender:
    """Implements `Lender`: gives one token for another."""

    def __init__(self) -> None:
        self.asked: list[tuple[Lease, str]] = []
        self.given: UserToken | None = TOKEN

    async def lend(self, lease: Lease, refused: str = "") -> UserToken | None:
        self.asked.append((lease, refused))
        return self.given


class World:
    def __init__(self) -> None:
        self.timer, self.lender = HandTimer(), Lender()
        self.tokens = LeasedTokens(self.lender)

    def hold(self, work: ChannelWork = ANN, lease: Lease = LEASE) -> HeldLease:
        held = HeldLease(lease, self.timer.now(), self.timer)
        self.tokens.hold(work, held)
        return held


async def test_a_token_is_asked_for_under_the_lease_each_time() -> None:
    world = World()
    world.hold()
    assert await world.tokens.of("ann") is TOKEN
    assert await world.tokens.of("ann") is TOKEN
    assert world.lender.asked == [(LEASE, "")] * 2
    assert await world.tokens.of("bob") is None
    assert TOKEN.access_token not in repr(vars(world.tokens))


async def test_who_is_not_connected_is_not_asked_about() -> None:
    world = World()
    world.hold(replace(ANN, eventsub=False))
    assert await world.tokens.of("ann") is None
    assert world.lender.asked == []


async def test_a_heartbeat_tells_who_is_connected_by_now() -> None:
    world = World()
    world.hold(replace(ANN, eventsub=False))
    bob = replace(LEASE, id="id-bob")
    world.hold(replace(ANN, id="id-bob", name="bob"), bob)
    kept = {"id-ann": 15.0, "id-bob": 15.0}
    assert world.tokens.heard(Beat(kept=kept)) == [], "an older control plane says nothing of it"
    assert world.tokens.heard(Beat(kept=kept, connected=("id-ann", "id-bob"))) == ["ann"]
    assert await world.tokens.of("ann") is TOKEN
    assert world.tokens.heard(Beat(kept=kept, connected=("id-ann",))) == ["bob"]
    assert await world.tokens.of("bob") is None
    assert world.tokens.heard(Beat(lost=("id-ann",), connected=())) == [], "it is another's"


async def test_what_twitch_refuses_is_told_by_its_mark() -> None:
    world = World()
    world.hold()
    fresh = replace(TOKEN, access_token="another")
    world.lender.given = fresh
    assert await world.tokens.refused(TOKEN) is fresh
    assert world.lender.asked == [(LEASE, mark_of("secret"))]
    await world.tokens.revoked("nobody")
    await world.tokens.revoked("7")
    assert world.lender.asked[1:] == [(LEASE, mark_of("another"))]
    assert await world.tokens.refused(replace(TOKEN, login="bob")) is None


async def test_under_a_lease_that_is_over_nothing_is_asked() -> None:
    world = World()
    world.hold()
    world.timer.advance(LEASE.good_for_s)
    with pytest.raises(Unavailable):
        await world.tokens.of("ann")
    with pytest.raises(Unavailable):
        await world.tokens.refused(TOKEN)
    assert world.lender.asked == []


async def test_a_channel_that_is_held_again_is_asked_for_under_its_new_lease() -> None:
    world = World()
    held = world.hold()
    world.tokens.hold(replace(ANN, eventsub=False), held)
    assert await world.tokens.of("ann") is TOKEN, "the same lease begins once"
    held.ended.set()
    world.hold(lease=replace(LEASE, token=5))
    await world.tokens.of("ann")
    assert world.lender.asked[-1][0].token == 5


async def test_channels_that_are_let_go_are_forgotten() -> None:
    world = World()
    world.hold().ended.set()
    world.hold(replace(ANN, id="id-bob", name="bob"), replace(LEASE, id="id-bob"))
    assert await world.tokens.of("ann") is None


def answered(status: int, body: Any) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/workers"):
            return httpx.Response(201, json={"token": "t", "expires_in_s": 600})
        return httpx.Response(status, json=body)

    return answer


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, {"detail": "not connected"}), (404, {"detail": "Not Found"}), (422, {"detail": "x"})],
)
async def test_a_refusal_is_no_token(status: int, body: Any) -> None:
    async with client("w", httpx.MockTransport(answered(status, body))) as control:
        assert await ControlTokens(control).lend(LEASE) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, {"detail": "another's"}),
        (503, {"detail": "later"}),
        (500, {}),
        (200, {}),
        (200, {"access_token": "secret", "scopes": 1, "user_id": "7", "login": "ann"}),
    ],
)
async def test_what_cannot_be_known_is_no_refusal(status: int, body: Any) -> None:
    async with client("w", httpx.MockTransport(answered(status, body))) as control:
        with pytest.raises(TokensAway) as told:
            await ControlTokens(control).lend(LEASE)
    assert "secret" not in str(told.value)
