"""How often and how many at once Twitch is asked; and what never leaves the resolver."""

from __future__ import annotations

import asyncio

import pytest

from bus.ports import Meter
from ingest.address import Resolved
from ingest.errors import SourceGone, SourceOffline
from ingest.settings import IngestSettings
from ingest.twitch.names import TwitchChannel, TwitchVideo
from ingest.twitch.resolver import TwitchResolver
from store.twitch.settings import TwitchSettings
from tests.doubles.fake_timer import FakeTimer
from tests.ingest.twitch_world import world_of


class Counts:
    """A `Meter` that remembers."""

    def __init__(self) -> None:
        self.counted: list[str] = []

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        self.counted.append(labels["outcome"])

    def gauge(self, name: str, value: float, **labels: str) -> None: ...

    def observe(self, name: str, value: float, **labels: str) -> None: ...


class Slow(TwitchResolver):
    """Looks for a second, and notes when and how many."""

    def __init__(self, timer: FakeTimer, meter: Meter) -> None:
        web = object()
        settings = TwitchSettings(resolve_at_once=4)
        super().__init__(settings, IngestSettings(), web, timer=timer, meter=meter)  # type: ignore[arg-type]
        self.timer = timer
        self.looks: list[float] = []
        self.now_looking = self.most = 0
        self.error: Exception | None = None

    async def _look(self, what: TwitchChannel | TwitchVideo, title: str) -> Resolved:
        self.looks.append(self.timer.now())
        self.now_looking += 1
        self.most = max(self.most, self.now_looking)
        await self.timer.sleep(1.0)
        self.now_looking -= 1
        if self.error is not None:
            raise self.error
        return Resolved(url="https://x.test/a.m3u8?sig=secret", title="chess")


async def test_only_a_few_channels_are_looked_for_at_once() -> None:
    resolver = Slow(FakeTimer(), Counts())
    channels = [resolver.channel(f"c{number}") for number in range(50)]
    await asyncio.gather(*(channel.resolve() for channel in channels))
    assert resolver.most == 4
    assert len(resolver.looks) == 50


async def test_one_channel_is_looked_for_once_in_a_while_unless_there_is_a_hint() -> None:
    timer = FakeTimer()
    resolver = Slow(timer, Counts())
    began_s = timer.now()
    channel = resolver.channel("ann")
    await channel.resolve()
    await channel.resolve()
    await asyncio.gather(resolver.channel("ann").resolve(), resolver.channel("ann").resolve())
    assert [at_s - began_s for at_s in resolver.looks] == [0, 10, 20, 30]
    resolver.hint("ann")
    await channel.resolve()
    assert resolver.looks[-1] - began_s == 31


async def test_outcomes_are_counted() -> None:
    counts = Counts()
    resolver = Slow(FakeTimer(), counts)
    await resolver.channel("ann").resolve()
    for error in (SourceOffline("off"), SourceGone("trouble")):
        resolver.error = error
        with pytest.raises(type(error)):
            await resolver.channel("ann").resolve()
    assert counts.counted == ["ok", "offline", "failed"]


async def test_what_was_found_shows_no_secret() -> None:
    async with world_of() as world:
        world.twitch.channel("ann").go_live("b1")
        address = world.resolver.channel("ann")
        found = await address.resolve()
        assert "sig=" in found.url
        assert "sig" not in repr(found)
        assert "127.0.0.1" not in repr(found)
        assert address.shown == "twitch.tv/ann"
        assert found.playlist.startswith(b"#EXTM3U")
        assert found.fleeting


async def test_a_broadcast_without_a_name_in_its_playlist_is_named_by_its_page() -> None:
    async with world_of() as world:
        channel = world.twitch.channel("ann", "chess")
        channel.go_live("b1")
        channel.names_broadcast = False
        address = world.resolver.channel("ann")
        first, second = await address.resolve(), await address.resolve()
        assert [found.broadcast_id for found in (first, second)] == ["b1", "b1"]
        assert first.title == "chess"
