"""Chat over event sockets, against Twitch's double over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

import pytest

from ingest.chat.room import Room
from store.twitch.tokens import UserToken
from tests.ingest.chat.eventsub_world import START_S, World, passing, texts, twitch, until

CHAT = "channel.chat.message"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with twitch() as running:
        yield running


async def test_a_connected_channel_is_heard(world: World) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)
    world.timer.now_s = START_S + 5.25
    badges = [{"set_id": "vip", "id": "1", "info": ""}]
    frame = world.double.chat("ana", "clip that", message_id="m-1", by="bo", badges=badges)
    await world.double.say("ana", frame)
    await until(lambda: room.held)
    batch = await room.drain(10.0)
    (line,) = batch.lines
    assert (line.text, line.role, line.message_id) == ("clip that", "vip", "m-1")
    assert line.t_s == pytest.approx(5.25, abs=0.001)
    assert batch.connected
    assert not batch.gap_seconds


async def test_what_comes_again_counts_once(world: World) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)
    again = world.double.chat("ana", "one", message_id="m-1")
    other_delivery = world.double.chat("ana", "one", message_id="m-1")
    for frame in (again, again, other_delivery):
        await world.double.say("ana", frame)
    await world.say("ana", "two")
    await until(lambda: room.held == 2)
    assert texts(await room.drain(10.0)) == ["one", "two"]
    assert world.meter.counts["eventsub_duplicates_total"] == 1


async def test_what_is_not_understood_costs_itself_alone(world: World) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)
    nobody = world.double.chat("ana", "by nobody", message_id="m-1")
    del nobody["payload"]["event"]["chatter_user_login"]
    bare: dict[str, object] = {"payload": {}}
    for text in ("{", "[]", '"x"', json.dumps(bare), json.dumps(nobody)):
        await world.double.send_text("ana", text)
    poor = world.double.chat("ana", "poor", message_id="m-2")
    for name in ("reply", "cheer", "color", "badges", "channel_points_custom_reward_id"):
        del poor["payload"]["event"][name]
    await world.double.say("ana", poor)
    await until(lambda: room.held)
    assert texts(await room.drain(10.0)) == ["poor"]
    assert world.meter.counts["eventsub_malformed_total"] == 5
    assert world.double.opened == 1


async def test_out_of_order_lines_stand_where_they_were_sent(world: World) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)
    frames = []
    for second in (1, 2, 3):
        world.timer.now_s = START_S + second
        frames.append(world.double.chat("ana", f"at {second}", message_id=f"m-{second}"))
    for frame in reversed(frames):
        await world.double.say("ana", frame)
    await until(lambda: room.held == 3)
    batch = await room.drain(10.0)
    assert texts(batch) == ["at 1", "at 2", "at 3"]
    assert [round(line.t_s) for line in batch.lines] == [1, 2, 3]


def _is_reached(world: World, sockets: int) -> bool:
    return world.double.opened >= sockets


def _are_held(room: Room, lines: int) -> bool:
    return room.held >= lines


async def test_a_session_moves_without_a_gap(world: World) -> None:
    world.account("ana")
    late = world.double.chat("ana", "late on the old socket", message_id="m-late")
    world.double.on_reconnected = lambda _: [late]
    room = await world.room("ana", world.hub())
    await world.double.until(lambda: world.double.posts[202] == 3)
    await until(lambda: room.is_joined)
    for turn in range(3):
        sockets, lines = world.double.opened + 1, room.held + 3 + (turn == 0)
        await world.say("ana", f"before {turn}")
        await world.double.move("ana")
        await world.say("ana", f"meanwhile {turn}")
        await world.double.until(partial(_is_reached, world, sockets))
        await world.say("ana", f"after {turn}")
        await until(partial(_are_held, room, lines))
    world.timer.now_s += 20.0
    batch = await room.drain(10.0)
    said = [f"{when} {turn}" for turn in range(3) for when in ("before", "meanwhile", "after")]
    assert sorted(texts(batch)) == sorted([*said, "late on the old socket"])
    assert not batch.gap_seconds
    assert world.meter.counts["eventsub_moves_total"] == 3
    assert world.double.posts[202] == 3  # a session that moves keeps its subscriptions


async def test_a_move_to_a_wrong_address_begins_anew(world: World) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)
    await world.double.move("ana", url=f"{world.settings.eventsub_url}?move=nowhere")
    await until(lambda: not room.is_joined)
    await passing(world.timer, lambda: room.is_joined)
    await world.say("ana", "again")
    await until(lambda: room.held)
    assert (await room.drain(60.0)).gap_seconds


@pytest.mark.parametrize("code", [None, 4000, 4002, 4005, 4006, 1001])
async def test_a_drop_is_a_gap_and_no_more(world: World, code: int | None) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)
    world.timer.now_s = START_S + 10.5
    await world.say("ana", "before")
    await until(lambda: room.held)
    await world.double.drop("ana", code)
    await until(lambda: not room.is_joined and world.timer.sleepers)
    world.timer.advance(4.0)
    await until(lambda: room.is_joined)
    world.timer.now_s = START_S + 20.5
    await world.say("ana", "after")
    await until(lambda: room.held == 2)
    batch = await room.drain(30.0)
    assert texts(batch) == ["before", "after"]
    assert batch.gap_seconds == {10, 11, 12, 13, 14}


async def test_drops_each_minute_for_an_hour(world: World) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    heard: list[str] = []
    gaps: set[int] = set()
    for minute in range(60):
        await passing(world.timer, lambda: room.is_joined)
        world.timer.now_s = START_S + 60.0 * minute + 58.5
        await world.say("ana", f"minute {minute}")
        await until(lambda: room.held)
        batch = await room.drain(60.0 * minute + 59.0)
        heard += texts(batch)
        gaps |= batch.gap_seconds
        await world.double.drop("ana")
        await until(lambda: not room.is_joined)
    assert heard == [f"minute {minute}" for minute in range(60)]
    assert len(gaps) < 60 * 6
    assert not {second for second in gaps if 10 <= second % 60 < 58}


async def test_silence_beyond_the_promised_keepalive_is_a_drop() -> None:
    async with twitch(keepalive_s=0.05) as world:
        world.double.sends_keepalives = False
        world.account("ana")
        room = await world.room("ana", world.hub())
        await passing(world.timer, lambda: world.double.opened >= 3)
        world.double.keepalive_s = 600.0
        await passing(world.timer, lambda: room.is_joined and world.double.opened >= 4)
        await world.double.until(lambda: world.double.subscribed("ana", CHAT))
        assert world.meter.counts["eventsub_connections_lost_total"] >= 2


@pytest.mark.parametrize("status", [429, 500])
async def test_a_failed_subscription_is_made_later(world: World, status: int) -> None:
    world.account("ana")
    world.double.answers = [status] * 4
    room = await world.room("ana", world.hub())
    await world.double.until(lambda: world.double.posts[status] == 3)
    assert not room.is_joined
    await passing(world.timer, lambda: room.is_joined)
    assert world.double.posts[status] == 4
    assert world.double.opened == 1  # the socket is kept
    assert world.meter.counts["eventsub_refused_total"] == 4


async def test_a_conflict_means_that_it_is_there(world: World) -> None:
    world.account("ana")
    world.double.answers = [409]
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)


async def test_an_expired_token_is_renewed_by_its_keeper_alone(world: World) -> None:
    world.account("ana")
    world.tokens.hold_stale("ana", "expired")
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)
    assert world.tokens.refusals == 1
    assert world.double.posts[401] == 1
    assert world.double.opened == 1


async def test_a_token_that_cannot_be_renewed_ends_it(world: World) -> None:
    world.account("ana")
    world.tokens.hold_stale("ana", "expired")
    world.tokens.renews = False
    hub = world.hub()
    room = await world.room("ana", hub)
    await until(lambda: hub.standing("ana").refused)
    assert not room.is_joined
    assert world.double.opened == 1


async def test_a_revocation_is_told_and_a_new_permission_is_taken(world: World) -> None:
    account = world.account("ana")
    hub = world.hub()
    room = await world.room("ana", hub)
    await until(lambda: room.is_joined)
    await world.double.until(lambda: world.double.posts[202] == 3)
    await world.double.revoke("ana", CHAT)
    await until(lambda: not room.is_joined and hub.standing("ana").refused)
    await until(lambda: world.tokens.told == [account.user_id])
    account.token = "another"
    await passing(world.timer, lambda: room.is_joined)
    assert not hub.standing("ana").refused


async def test_a_channel_that_connects_later_is_heard_when_told(world: World) -> None:
    account = world.account("ana", connected=False)
    hub = world.hub()
    room = await world.room("ana", hub)
    await until(lambda: hub.standing("ana").refused == "not connected")
    assert world.double.opened == 0
    account.token = "fresh"
    hub.look_again("ana")
    await until(lambda: room.is_joined)


async def test_who_disconnects_is_not_heard_any_more(world: World) -> None:
    account = world.account("ana")
    hub = world.hub()
    room = await world.room("ana", hub)
    await world.double.until(lambda: world.double.posts[202] == 3)
    await until(lambda: room.is_joined)
    hub.look_again("ana")
    world.timer.now_s += 1.0
    await world.say("ana", "still here")
    await until(lambda: room.held)
    assert world.double.opened == 1, "who is connected still keeps the socket"
    account.token = ""  # and Twitch itself could not be told, so it says nothing
    hub.look_again("ana")
    await until(lambda: hub.standing("ana").refused and not room.is_joined)
    await world.double.until(lambda: not world.double.sessions)
    assert world.tokens.told == []


async def test_a_scope_that_is_allowed_later_is_used_when_told(world: World) -> None:
    account = world.account("ana")
    account.scopes = frozenset({"clips:edit"})
    hub = world.hub()
    room = await world.room("ana", hub)
    await until(lambda: hub.standing("ana").refused == "not allowed")
    listening = asyncio.create_task(hub.changed("ana", 1_000.0))
    await world.double.until(lambda: world.double.subscribed("ana", "stream.online"))
    account.scopes = frozenset({"clips:edit", "user:read:chat"})
    hub.look_again("ana")
    await until(lambda: room.is_joined)
    assert world.double.opened == 1
    listening.cancel()


async def test_a_keeper_of_tokens_that_is_away_is_asked_again_soon(world: World) -> None:
    world.account("ana")
    world.tokens.away = {"of"}
    hub = world.hub()
    room = await world.room("ana", hub)
    began_s = world.timer.now()
    await passing(world.timer, lambda: world.timer.now() > began_s + 60.0)
    assert not hub.standing("ana").refused, "Twitch has refused nothing"
    world.tokens.away.clear()
    back_s = world.timer.now()
    await passing(world.timer, lambda: room.is_joined)
    assert world.timer.now() - back_s < 40.0
    world.tokens.away = {"of"}
    hub.look_again("ana")
    await world.say("ana", "still here")
    await until(lambda: room.held)
    assert (room.is_joined, world.double.opened) == (True, 1)


async def test_a_renewal_that_must_wait_costs_no_permission(world: World) -> None:
    world.account("ana")
    world.tokens.hold_stale("ana", "expired")
    world.tokens.away = {"refused"}
    hub = world.hub()
    room = await world.room("ana", hub)
    await until(lambda: world.meter.counts["eventsub_refused_total"] == 3)
    assert not hub.standing("ana").refused
    world.tokens.away.clear()
    await passing(world.timer, lambda: room.is_joined)
    assert world.double.opened == 1


async def test_a_revocation_that_cannot_be_told_is_found_out_later(world: World) -> None:
    account = world.account("ana")
    hub = world.hub()
    room = await world.room("ana", hub)
    await world.double.until(lambda: world.double.posts[202] == 3)
    await until(lambda: room.is_joined)
    world.tokens.away = {"revoked"}
    await world.double.revoke("ana", CHAT)
    await until(lambda: not room.is_joined and hub.standing("ana").refused == "reconnect")
    world.tokens.away.clear()
    account.token = "another"
    await passing(world.timer, lambda: room.is_joined)
    assert world.tokens.told == []


async def test_a_token_is_shown_with_the_app_it_was_given_to(world: World) -> None:
    world.account("ana")
    world.account("bo")
    world.tokens.client_ids["bo"] = "another app"
    hub = world.hub()
    rooms = [await world.room(login, hub) for login in ("ana", "bo")]
    await until(lambda: all(room.is_joined for room in rooms))
    assert world.double.apps == {"token-ana": "app", "token-bo": "another app"}
    await rooms[1].close()
    assert set(hub._api._client.tokens) == {"1000"}, "a token is kept no longer than its socket"


async def test_without_the_scope_nothing_is_asked(world: World) -> None:
    world.account("ana").scopes = frozenset({"clips:edit"})
    hub = world.hub()
    await world.room("ana", hub)
    await until(lambda: hub.standing("ana").refused == "not allowed")
    assert world.double.opened == 0


async def test_moderators_take_back_what_waits(world: World) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    await world.double.until(
        lambda: world.double.subscribed("ana", "channel.chat.clear_user_messages")
    )
    await world.say("ana", "bad", "fine")
    spam = world.double.chat("ana", "spam", message_id="m-spam", by="spammer")
    await world.double.say("ana", spam)
    broadcaster = {"broadcaster_user_id": world.double.accounts["ana"].user_id}
    for kind, event in (
        ("channel.chat.message_delete", {"message_id": "id of bad"}),
        ("channel.chat.clear_user_messages", {"target_user_login": "spammer"}),
    ):
        frame = world.double.notification("ana", kind, broadcaster | event)
        await world.double.say("ana", frame)
    await world.say("ana", "last")
    await until(lambda: room.held == 4)
    assert texts(await room.drain(10.0)) == ["fine", "last"]


async def test_each_channel_has_a_socket_of_its_own_until_it_is_left(world: World) -> None:
    hub = world.hub()
    rooms = []
    for login in ("ana", "bo", "cy"):
        world.account(login)
        rooms.append(await world.room(login, hub))
    await until(lambda: all(room.is_joined for room in rooms))
    second = await world.room("ana", hub)
    assert second.is_joined
    await world.say("ana", "hi")
    await until(lambda: second.held and rooms[0].held)
    assert not rooms[1].held
    assert world.double.opened == 3
    for room in (*rooms, second):
        await room.close()
    await world.double.until(lambda: not world.double.sessions)


async def test_a_server_that_is_not_there_is_tried_again(world: World) -> None:
    world.account("ana")
    world.double.refuses_sockets = True
    room = await world.room("ana", world.hub())
    await passing(world.timer, lambda: world.meter.counts["eventsub_connections_lost_total"] > 3)
    world.double.refuses_sockets = False
    await passing(world.timer, lambda: room.is_joined)


async def test_a_database_that_is_away_for_a_while_costs_no_socket_for_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(login: str) -> UserToken | None:
        raise RuntimeError("the database is away")

    world.account("ana")
    hub = world.hub()
    room = await world.room("ana", hub)
    await until(lambda: room.is_joined)
    monkeypatch.setattr(world.tokens, "of", broken)
    await world.double.drop("ana")
    await passing(world.timer, lambda: world.meter.counts["eventsub_connections_lost_total"] > 3)
    assert not room.is_joined
    assert not hub.standing("ana").refused, "Twitch has refused nothing"
    monkeypatch.undo()
    await passing(world.timer, lambda: room.is_joined)
    await world.say("ana", "back")
    await until(lambda: room.held)


async def test_no_secret_reaches_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.account("ana")
    room = await world.room("ana", world.hub())
    await until(lambda: room.is_joined)
    world.double.answers = [500]
    world.double.refuses_sockets = True
    await world.double.move("ana", url=f"{world.settings.eventsub_url}?secret=of-session")
    await passing(world.timer, lambda: world.meter.counts["eventsub_connections_lost_total"] > 2)
    world.double.refuses_sockets = False
    await passing(world.timer, lambda: world.meter.counts["eventsub_refused_total"])
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert "event socket lost" in logged
    assert "not subscribed yet" in logged
    assert "token-ana" not in logged
    assert "of-session" not in logged
