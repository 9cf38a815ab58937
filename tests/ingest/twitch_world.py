"""Twitch's doubles on a loopback server, watched in pretended time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import pytest

from ingest.hls_live import HlsLive
from ingest.playlist_reader import Answer
from ingest.settings import IngestSettings
from ingest.source import (
    Notice,
    Pulled,
    Resume,
    SourceEnd,
    SourceGap,
    SourceInfo,
    SourceSegment,
)
from ingest.twitch.names import TwitchChannel, TwitchVideo
from ingest.twitch.resolver import TwitchResolver
from ops.demo.live_stream import OriginSegment
from store.fetch import Fetcher
from store.settings import FetchSettings
from store.twitch.settings import TwitchSettings
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.twitch.playlists import TwitchPlaylists
from tests.doubles.twitch.server import serving
from tests.hls_media import ts_segments

_T = TypeVar("_T")
Ask = Callable[[TwitchChannel | TwitchVideo, TwitchSettings], _T]


class World:
    """A server with Twitch's doubles, and what watches it."""

    def __init__(self, segments: Sequence[OriginSegment]) -> None:
        self.flying = 0
        self.waits_for: Callable[[], object] = lambda: False
        """Whether anything else than `flying` is still on its way."""
        self.timer = FakeTimer(busy=lambda: self.flying > 0 or bool(self.waits_for()))
        self.twitch = TwitchPlaylists(self.timer.now, segments)
        self.settings = TwitchSettings()
        self.ingest = IngestSettings()
        self.fetcher = Fetcher(FetchSettings(allow_private=True))
        self.resolver: TwitchResolver

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_s: float,
        offset: int | None = None,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Read through the real fetcher, with time for a slow machine."""
        self.flying += 1
        try:
            return await self.fetcher.get(
                url,
                max_bytes=max_bytes,
                timeout_s=60.0,
                offset=offset,
                length=length,
                headers=headers,
            )
        finally:
            self.flying -= 1

    def live(self, login: str, *, quality: Sequence[str] = ()) -> HlsLive:
        """Return a channel as a source."""
        return HlsLive(
            self.resolver.channel(login),
            self,
            self.ingest,
            quality=quality,
            renew_after_s=self.settings.renew_after_s,
            flap_s=self.settings.flap_s,
            timer=self.timer,
            spread=lambda: 0.0,
        )

    async def watch(
        self,
        source: HlsLive,
        seconds: float,
        *script: tuple[float, Callable[[], object]],
        resume: Resume | None = None,
    ) -> Watched:
        """Watch for so many pretended seconds; `script`: what happens when, in order."""
        info = await source.describe()
        began_s = self.timer.now()

        async def play() -> None:
            for at_s, happen in script:
                await self.timer.sleep(began_s + at_s - self.timer.now())
                happen()

        playing = asyncio.create_task(play())
        pulled: list[Pulled] = []
        try:
            async with contextlib.aclosing(source.pull(resume)) as pulls:
                async for one in pulls:
                    pulled.append(one)
                    if self.timer.now() - began_s >= seconds or isinstance(one, SourceEnd):
                        break
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        return Watched(info, pulled)


class _Resolver(TwitchResolver):
    """Tells the world while a thread of its own is on the way."""

    world: World

    async def _ask(self, what: TwitchChannel | TwitchVideo, ask: Ask[_T]) -> _T:
        self.world.flying += 1
        try:
            return await super()._ask(what, ask)
        finally:
            self.world.flying -= 1


class Watched:
    """What a source told."""

    def __init__(self, info: SourceInfo, pulled: Sequence[Pulled]) -> None:
        self.info = info
        self.spans = [p for p in pulled if isinstance(p, SourceSegment | SourceGap)]
        self.stored = [p for p in pulled if isinstance(p, SourceSegment)]
        self.gaps = [p for p in pulled if isinstance(p, SourceGap)]
        self.notices = [p.reason for p in pulled if isinstance(p, Notice)]
        self.end = next((p for p in pulled if isinstance(p, SourceEnd)), None)

    def check_whole(self) -> None:
        """Spans follow each other, numbers never repeat, no date is stored twice."""
        for before, after in pairwise(self.spans):
            assert after.media_s == pytest.approx(before.end_s, abs=0.75)
        numbers = [(span.epoch, span.seq) for span in self.spans]
        assert numbers == sorted(set(numbers))
        dates = [round(s.pdt_s, 1) for s in self.stored if s.pdt_s is not None]
        assert dates == sorted(set(dates))

    @property
    def missing(self) -> dict[str, float]:
        """Seconds of gaps, by reason."""
        found: dict[str, float] = {}
        for gap in self.gaps:
            found[gap.reason] = round(found.get(gap.reason, 0.0) + gap.duration_s, 1)
        return found


@contextlib.asynccontextmanager
async def world_of(segments: Sequence[OriginSegment] = ()) -> AsyncIterator[World]:
    """Open the server and the world around it; at its end no rule of Twitch's may be broken."""
    world = World(segments or ts_segments())
    async with serving(world.twitch) as url, world.fetcher:
        world.settings = TwitchSettings(gql_url=f"{url}/gql", usher_url=url, timeout_s=60.0)
        resolver = _Resolver(world.settings, world.ingest, world, timer=world.timer)
        resolver.world = world
        world.resolver = resolver
        yield world
        assert world.twitch.violations == []
