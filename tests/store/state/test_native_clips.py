"""Clips of Twitch's own: asked for once, counted when they are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bus import events as ev
from bus.local import LocalBus
from bus.stage import Ctx
from store.state.apply import record
from store.state.native_clips import LEASE_S, NativeClips, length_s
from store.state.queries import read_clip
from store.state.state import State
from store.state.watchlist import Place, Watchlist
from store.twitch.helix import Helix, HelixUnavailable, TwitchClip
from store.twitch.settings import TwitchSettings
from store.twitch.tokens import UserToken
from tests.doubles.twitch.helix import HelixDouble
from tests.doubles.twitch.server import serving
from tests.store.state.story import records

CHANNEL = ev.stable_id("twitch", "somebody")
START_S = 1_800_000_000.0
OWN = {"tenant_id": "local", "channel_id": CHANNEL, "session_id": "s"}


@dataclass
class HeldTokens:
    """One channel's token, which can be renewed or taken away."""

    token: UserToken | None = field(
        default_factory=lambda: UserToken(
            user_id="id-somebody",
            login="somebody",
            access_token="first",
            scopes=frozenset({"clips:edit"}),
        )
    )
    fresh: UserToken | None = None
    told: int = 0

    async def of(self, login: str) -> UserToken | None:
        return self.token if login == "somebody" else None

    async def refused(self, token: UserToken) -> UserToken | None:
        self.told += 1
        self.token = self.fresh
        return self.token

    async def revoked(self, user_id: str) -> None:
        self.token = None


class World:
    """A stage between a bus, a database and Twitch."""

    def __init__(self, state: State, bus: LocalBus, twitch: HelixDouble, url: str) -> None:
        self.state, self.bus, self.twitch = state, bus, twitch
        self.tokens = HeldTokens()
        self.settings = TwitchSettings(client_id="app", helix_url=f"{url}/helix")
        self.ctx = Ctx(bus=bus)

    async def sleep(self, seconds: float) -> None:
        self.twitch.now_s += seconds
        await asyncio.sleep(0)

    def clock(self) -> float:
        return self.twitch.now_s

    def helix(self) -> Helix:
        return Helix(self.settings, self.tokens, sleep=self.sleep, clock=self.clock)

    def stage(self, helix: Helix | None = None) -> NativeClips:
        return NativeClips(
            self.state,
            helix or self.helix(),
            self.tokens,
            self.settings,
            clock=self.clock,
            sleep=self.sleep,
            round_s=0.01,
        )

    async def plan(self, clip_id: str = "c", start_s: float = 10.0) -> None:
        await self.bus.publish(
            [
                ev.ClipPlanned(
                    **OWN, clip_id=clip_id, start_s=start_s, peak_s=start_s + 10,
                    end_s=start_s + 20, score=0.5, kinds=("chat_spike",), moment_ids=("m",),
                    title=f"Title {clip_id}",
                )
            ]
        )  # fmt: skip

    async def outcomes(self, count: int = 1) -> list[ev.Event]:
        """Return the outcomes on the bus once there are so many, folded into rows."""
        found: list[ev.Event] = []
        async with asyncio.timeout(60), self.bus.subscribe(f"see-{id(found)}", ("clips",)) as log:
            while len(found) < count:
                for one in await log.fetch(100, 0.1):
                    if isinstance(one.event, ev.NativeClipMade | ev.NativeClipFailed):
                        found.append(one.event)
        await record(self.state, records(found))
        return found

    async def run(self, *stages: NativeClips, count: int = 1) -> list[ev.Event]:
        """Run stages until there are so many outcomes, then drain."""
        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            for stage in stages:
                group.create_task(stage.run(self.ctx))
            found = await self.outcomes(count)
            self.ctx.draining.set()
        self.ctx = Ctx(bus=self.bus)
        return found


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> AsyncIterator[World]:
    twitch = HelixDouble(live={"somebody"}, now_s=START_S + 35)
    twitch.allow("somebody", "first", "clips:edit")
    async with (
        State.open(database_url) as state,
        LocalBus.open(tmp_path / "bus.db") as bus,
        serving(twitch) as url,
    ):
        started = ev.SessionStarted(
            **OWN, kind="live", title="", source="", has_chat=False, started_at_s=START_S,
            wall_start_s=START_S,
        )  # fmt: skip
        await record(state, records([started]))
        watchlist = Watchlist(state)
        await watchlist.add(
            Place(id=CHANNEL, name="somebody", url="twitch.tv/somebody", kind="twitch")
        )
        await watchlist.set_native_clips(CHANNEL, True)
        yield World(state, bus, twitch, url)


async def test_it_is_made_and_shown_once_twitch_shows_it(world: World) -> None:
    world.twitch.appears_after_polls = 3
    await world.plan()
    (made,) = await world.run(world.stage())
    assert isinstance(made, ev.NativeClipMade)
    assert made.url == "https://clips.twitch.tv/Clip1"
    assert world.twitch.creates_asked == 1
    assert world.twitch.polls == 4
    # From ten seconds into the broadcast to five after the call.
    assert world.twitch.created[0]["duration"] == pytest.approx(30.0)
    assert world.twitch.created[0]["title"] == "Title c"
    # The recorder knows of the clip once it is planned; its page shows the link.
    await record(
        world.state,
        records([ev.ClipPlanned(**OWN, clip_id="c", start_s=1.0, peak_s=2.0, end_s=3.0,
                                score=0.5, kinds=(), moment_ids=())]),
    )  # fmt: skip
    clip = await read_clip(world.state, "local", "c")
    assert clip is not None
    assert (clip.twitch_status, clip.twitch_url) == ("made", made.url)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("offline", "offline"),
        ("restricted", "refused"),
        ("never", "not_there"),
        ("lost", "made"),
        ("late", "late"),
        ("scope", "scope"),
        ("gone", "reconnect"),
        ("revoked", "reconnect"),
        ("busy", "busy"),
        ("limited", "made"),
        ("renewed", "made"),
    ],
)
async def test_what_can_go_wrong(  # noqa: C901  # each fault is one branch
    world: World, fault: str, reason: str
) -> None:
    twitch, tokens = world.twitch, world.tokens
    assert tokens.token is not None
    if fault == "offline":
        twitch.live.clear()
    elif fault == "restricted":
        twitch.restricted = True
    elif fault == "never":
        twitch.never_appears = True
    elif fault == "lost":
        twitch.drops_answer = True
    elif fault == "late":
        twitch.now_s += 120
    elif fault == "scope":
        tokens.token = UserToken(
            user_id="id-somebody", login="somebody", access_token="first", scopes=frozenset()
        )
    elif fault == "gone":
        tokens.token = None
    elif fault == "busy":
        twitch.refusals = [(429, {"Ratelimit-Reset": str(int(twitch.now_s) + 600)})]
    elif fault == "limited":
        twitch.refusals = [(429, {"Ratelimit-Reset": str(int(twitch.now_s) + 4)}), (401, {})]
        tokens.fresh = tokens.token
    else:
        twitch.tokens.clear()
        if fault == "renewed":
            twitch.allow("somebody", "second", "clips:edit")
            tokens.fresh = UserToken(
                user_id="id-somebody",
                login="somebody",
                access_token="second",
                scopes=frozenset({"clips:edit"}),
            )
    began_s = twitch.now_s
    await world.plan()
    (outcome,) = await world.run(world.stage())
    if isinstance(outcome, ev.NativeClipFailed):
        assert outcome.reason == reason
    else:
        assert reason == "made"
    assert len(twitch.created) <= 1
    if fault == "never":
        assert 15 <= twitch.now_s - began_s <= 20
    if fault in ("renewed", "revoked"):
        assert tokens.told == 1


class Crashing(Helix):
    """Asks Twitch, and dies before anybody hears what it said."""

    async def create_clip(self, asker: str, *, title: str, duration_s: float) -> str:
        await super().create_clip(asker, title=title, duration_s=duration_s)
        raise RuntimeError("killed")


@pytest.mark.parametrize("appears", [True, False])
async def test_killed_between_asking_and_hearing_it_is_not_asked_twice(
    world: World, *, appears: bool
) -> None:
    world.twitch.never_appears = not appears
    await world.plan()
    crashing = Crashing(world.settings, world.tokens, sleep=world.sleep, clock=world.clock)
    with pytest.RaisesGroup(pytest.RaisesGroup(RuntimeError), allow_unwrapped=False):
        await world.stage(crashing).run(world.ctx)
    assert world.twitch.creates_asked == 1
    world.twitch.now_s += LEASE_S + 1
    # Another clip of the same minute is not taken for it.
    world.twitch.created.append(
        {**world.twitch.created[0], "id": "Foreign", "title": "by hand", "polls": 0}
    )
    (outcome,) = await world.run(world.stage())
    assert world.twitch.creates_asked == 1
    assert isinstance(outcome, ev.NativeClipMade) is appears
    if isinstance(outcome, ev.NativeClipMade):
        assert outcome.url.endswith("/Clip1")


class Waiting(Helix):
    """Never hears whether a clip is there."""

    def __init__(self, world: World) -> None:
        super().__init__(world.settings, world.tokens, sleep=world.sleep, clock=world.clock)
        self.looks = asyncio.Event()

    async def clip(self, asker: str, clip_id: str) -> TwitchClip | None:
        self.looks.set()
        await asyncio.Event().wait()
        return None


async def test_drained_while_twitch_is_waited_for_another_goes_on_at_once(world: World) -> None:
    await world.plan()
    waiting = Waiting(world)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(world.stage(waiting).run(world.ctx))
        await waiting.looks.wait()
        world.ctx.draining.set()
    world.ctx = Ctx(bus=world.bus)
    drained_s = world.twitch.now_s
    (made,) = await world.run(world.stage())
    assert isinstance(made, ev.NativeClipMade)
    assert world.twitch.creates_asked == 1
    assert world.twitch.now_s - drained_s < LEASE_S


class Slow(Helix):
    """Is given up while it asks: another takes the clip."""

    def __init__(self, world: World) -> None:
        super().__init__(world.settings, world.tokens, sleep=world.sleep, clock=world.clock)
        self.asked = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def create_clip(self, asker: str, *, title: str, duration_s: float) -> str:
        twitch_id = await super().create_clip(asker, title=title, duration_s=duration_s)
        self.asked.set()
        await self.goes_on.wait()
        return twitch_id


async def test_who_was_given_up_leaves_the_clip_to_the_other(world: World) -> None:
    await world.plan()
    slow = Slow(world)
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        group.create_task(world.stage(slow).run(world.ctx))
        await slow.asked.wait()
        world.twitch.now_s += LEASE_S
        group.create_task(world.stage().run(world.ctx))
        (made,) = await world.outcomes()
        slow.goes_on.set()
        await world.plan("next", 30.0)
        assert len(await world.outcomes(2)) == 2
        world.ctx.draining.set()
    assert isinstance(made, ev.NativeClipMade)
    assert world.twitch.creates_asked == 2


async def test_two_instances_ask_once_for_each(world: World) -> None:
    for n in range(6):
        await world.plan(f"c{n}", 10.0 + n / 10)
    found = await world.run(world.stage(), world.stage(), count=6)
    assert {type(one) for one in found} == {ev.NativeClipMade}
    assert world.twitch.creates_asked == 6
    assert len({one.url for one in found if isinstance(one, ev.NativeClipMade)}) == 6


async def test_who_does_not_wish_it_is_left_alone(world: World) -> None:
    other = Place(id="other", name="other", url="twitch.tv/other", kind="twitch")
    await Watchlist(world.state).add(other)
    world.twitch.live.add("other")
    planned = ev.ClipPlanned(
        tenant_id="local", channel_id="other", session_id="s2", clip_id="unwished",
        start_s=10.0, peak_s=20.0, end_s=30.0, score=0.5, kinds=(), moment_ids=(),
    )  # fmt: skip
    await world.bus.publish([planned])
    await world.plan("wished")
    (made,) = await world.run(world.stage())
    assert isinstance(made, ev.NativeClipMade)
    assert made.clip_id == "wished"
    assert world.twitch.creates_asked == 1


async def test_a_broken_api_is_asked_again_when_that_does_no_harm(world: World) -> None:
    world.twitch.refusals = [(503, {}), (500, {})]
    assert await world.helix().clip("somebody", "none") is None
    assert len(world.twitch.asked) == 3
    world.twitch.refusals = [(503, {})]
    with pytest.raises(HelixUnavailable):
        await world.helix().create_clip("somebody", title="", duration_s=30.0)
    assert world.twitch.creates_asked == 1


def test_how_much_is_asked_for() -> None:
    assert length_s(0.0, 10.0, 25.0) == 30.0
    assert length_s(0.0, 10.0, 60.0) == 60.0  # shortened at its beginning
    assert length_s(0.0, 10.0, 66.0) is None
    assert length_s(24.0, 25.0, 20.0) == 5.0
