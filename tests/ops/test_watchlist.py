"""The watch list at work: what is added is watched, what is removed is let go."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.stage import Ctx
from ingest.errors import SourceUnusable
from ops.channels import NoHints
from ops.supervisor import SupervisorSettings
from ops.watchlist import WatchlistStage, read_place
from store.state.errors import StateUnavailable
from store.state.state import State
from store.state.watchlist import Listed, Place, PlaceRefused, Watchlist
from tests.store.state.fresh import fresh_database

QUICK = SupervisorSettings(restart_first_s=0.05, restart_max_s=0.05, drain_s=30.0)


class Stream:
    """A watch that goes on until it is told to stop."""

    name = "watch"

    def __init__(self, world: World, place: Place, stop: asyncio.Event) -> None:
        self._world, self._place, self._stop = world, place, stop
        self.watching = asyncio.Event()

    async def run(self, ctx: Ctx) -> None:
        name = self._place.name
        if name == "stuck":
            await asyncio.Event().wait()
        if name == "closed":
            raise SourceUnusable("it is for subscribers")
        if name == "breaks":
            self._world.note(name, "broke")
            raise ValueError("a fault of ours")
        self.watching.set()
        self._world.note(name, "began")
        waits = [asyncio.create_task(each.wait()) for each in (self._stop, ctx.draining)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._world.note(name, "stopped" if self._stop.is_set() else "drained")

    async def end_lost(self, ctx: Ctx) -> bool:
        return True


class ToldList(Watchlist):
    """A watch list that says when it has been told something."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.news = asyncio.Event()

    async def tell(self, channel_id: str, state: str, detail: str) -> None:
        await super().tell(channel_id, state, detail)
        self.news.set()


class Forgets(NoHints):
    """Hears of nothing, and remembers whom it shall forget."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    async def forget(self, login: str) -> None:
        self.forgotten.append(login)


class World:
    """A stage that runs, and what has happened."""

    def __init__(self, watchlist: ToldList) -> None:
        self.watchlist = watchlist
        self.hints = Forgets()
        self.ctx = Ctx(bus=None)  # type: ignore[arg-type]
        self.happened: dict[str, list[str]] = defaultdict(list)
        self._news = asyncio.Event()

    def note(self, name: str, what: str) -> None:
        self.happened[name].append(what)
        self._news.set()

    async def make(self, place: Place, stop: asyncio.Event) -> Stream:
        return Stream(self, place, stop)

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not what():
                self._news.clear()
                await self._news.wait()

    async def state_of(self, name: str, *wanted: str) -> str:
        """Wait until the list says one of these of a channel."""
        async with asyncio.timeout(60):
            while True:
                self.watchlist.news.clear()
                found = await self.watchlist.one(read_place(name).id)
                if found is not None and found.state in wanted:
                    return found.detail
                await self.watchlist.news.wait()

    @asynccontextmanager
    async def running(self, *fixed: str) -> AsyncIterator[WatchlistStage]:
        stage = WatchlistStage(
            self.watchlist,
            self.make,
            QUICK,
            fixed=[read_place(name) for name in fixed],
            hints=self.hints,
            look_every_s=0.01,
            reconcile_s=0.001,
        )
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(stage.run(self.ctx))
            yield stage
            self.ctx.draining.set()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with State.open(await fresh_database(tmp_path)) as state:
        yield World(ToldList(state))


async def test_added_while_running_is_watched_and_removed_while_live_is_stopped(
    world: World,
) -> None:
    async with world.running("fixed"):
        await world.until(lambda: bool(world.happened["fixed"]))
        await world.watchlist.add(read_place("https://www.twitch.tv/Somebody"))
        await world.until(lambda: bool(world.happened["somebody"]))
        await world.state_of("somebody", "watching")
        await world.watchlist.remove(read_place("somebody").id)
        await world.until(lambda: len(world.happened["somebody"]) == 2)
        await world.watchlist.add(read_place("somebody"))
        await world.until(lambda: len(world.happened["somebody"]) == 3)
    assert world.happened["somebody"] == ["began", "stopped", "began", "drained"]
    assert world.hints.forgotten == ["somebody"]
    assert world.happened["fixed"] == ["began", "drained"]


async def test_switched_off_is_stopped_and_says_so(world: World) -> None:
    place = read_place("somebody")
    await world.watchlist.add(place)
    async with world.running():
        await world.state_of("somebody", "watching")
        await world.watchlist.set_always(place.id, False)
        await world.state_of("somebody", "")
    assert world.happened["somebody"] == ["began", "stopped"]


async def test_broken_and_slow_channels_touch_no_other(world: World) -> None:
    for name in ("breaks", "stuck", "closed", "zulu"):
        await world.watchlist.add(read_place(name))
    async with world.running():
        await world.until(lambda: len(world.happened["breaks"]) > 3)
        await world.until(lambda: bool(world.happened["zulu"]))
        # Its trouble is told for as long as it is fresh, whatever the others do meanwhile.
        assert await world.state_of("closed", "unusable") == "it is for subscribers"
        assert "a fault of ours" in await world.state_of("breaks", "broken")
        await world.state_of("stuck", "connecting")
        await world.watchlist.remove(read_place("stuck").id)
    assert world.happened["zulu"] == ["began", "drained"]


async def test_a_database_that_is_away_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.watchlist.add(read_place("somebody"))
    async with world.running():
        await world.state_of("somebody", "watching")
        tries: list[int] = []
        real = world.watchlist.listed

        async def away() -> list[Listed]:
            tries.append(1)
            world.note("tries", "")
            raise StateUnavailable("locked")

        monkeypatch.setattr(world.watchlist, "listed", away)
        await world.until(lambda: len(tries) > 3)
        monkeypatch.setattr(world.watchlist, "listed", real)
        await world.watchlist.add(read_place("other"))
        await world.until(lambda: bool(world.happened["other"]))
    assert world.happened["somebody"] == ["began", "drained"]


async def test_what_the_settings_name_is_told_too(world: World) -> None:
    both = read_place("both")
    await world.watchlist.add(both)
    await world.watchlist.set_always(both.id, False)
    async with world.running("both", "fixed") as stage:
        await world.state_of("both", "watching")
        await world.until(lambda: bool(world.happened["fixed"]))
        found = {one.place.name: one for one in await world.watchlist.all(stage.fixed())}
        assert found["both"].listed
        assert found["both"].fixed
        assert not found["fixed"].listed
        assert {one.always for one in found.values()} == {True}


async def test_what_a_killed_process_left_is_told_anew(world: World) -> None:
    place = read_place("somebody")
    await world.watchlist.add(place)
    await world.watchlist.set_always(place.id, False)
    await world.watchlist.tell(place.id, "watching", "")
    async with world.running():
        await world.state_of("somebody", "")


async def test_put_back_at_once_it_says_how_it_stands(world: World) -> None:
    place = read_place("somebody")
    await world.watchlist.add(place)
    async with world.running():
        await world.state_of("somebody", "watching")
        # Between two looks at the list, or around one: either way the fresh row is told.
        await world.watchlist.remove(place.id)
        await world.watchlist.add(place)
        await world.state_of("somebody", "watching")


@pytest.mark.parametrize(
    "text", ["Somebody", " @somebody ", "twitch.tv/SOMEBODY", "https://m.twitch.tv/somebody?x=1"]
)
def test_a_channel_however_it_is_written(text: str) -> None:
    place = read_place(text)
    assert (place.name, place.url, place.kind) == ("somebody", "twitch.tv/somebody", "twitch")
    assert place.id == read_place("somebody").id


def test_a_playlist_is_shown_without_its_secrets() -> None:
    place = read_place("https://u:p@example.com/live/a.m3u8?token=secret")
    assert place.kind == "hls"
    assert place.name == "example.com/live/a.m3u8"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Write"),
        ("not a name", "neither"),
        ("https://www.twitch.tv/videos/12345", "clipthat vod"),
        ("https://clips.twitch.tv/Abc", "clip already"),
        ("https://youtube.com/@somebody", ".m3u8"),
        ("ftp://example.com/a.m3u8", "neither"),
        ("http://[broken/a.m3u8", "neither"),
        ("a" * 3000, "too long"),
    ],
)
def test_what_is_no_channel_says_what_is(text: str, says: str) -> None:
    with pytest.raises(PlaceRefused, match=says):
        read_place(text)
