"""Twitch's VODs over real HTTP, whole and in parts, on good and bad days, in pretended time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from ingest.errors import SourceUnusable
from ingest.hls_vod import HlsVod
from ingest.settings import IngestSettings
from ingest.source import (
    Notice,
    Pulled,
    Resume,
    Source,
    SourceEnd,
    SourceGap,
    SourceInfo,
    SourceSegment,
)
from ingest.span import WHOLE, Span
from ingest.twitch.resolver import TwitchResolver
from store.fetch import Fetcher
from store.settings import FetchSettings
from store.twitch.settings import TwitchSettings
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.twitch.server import serving
from tests.doubles.twitch.vods import TwitchVods, Vod
from tests.hls_media import fmp4_segments, ts_segments

FEW = IngestSettings(segment_retries_s=(0.1, 0.1), fetches_vod=3)


@dataclass
class World:
    twitch: TwitchVods
    resolver: TwitchResolver
    fetcher: Fetcher
    timer: FakeTimer

    def source(self, span: Span = WHOLE) -> HlsVod:
        return HlsVod(self.resolver.video("77"), self.fetcher, FEW, span=span, timer=self.timer)

    @property
    def vod(self) -> Vod:
        return self.twitch.vods["77"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    timer = FakeTimer(idle_s=0.01)
    twitch = TwitchVods(timer.now)
    twitch.vod("77", [*ts_segments(), *ts_segments(), *ts_segments()])
    fetching = FetchSettings(allow_private=True)
    async with serving(twitch) as address, Fetcher(fetching) as fetcher:
        settings = TwitchSettings(gql_url=f"{address}/gql", usher_url=address, timeout_s=60.0)
        patient = replace(FEW, playlist_timeout_s=60.0, segment_timeout_min_s=60.0)
        resolver = TwitchResolver(settings, patient, fetcher, timer=timer)
        yield World(twitch, resolver, fetcher, timer)
    assert twitch.violations == []


async def all_of(source: Source, resume: Resume | None = None) -> tuple[SourceInfo, list[Pulled]]:
    info = await source.describe()
    async with contextlib.aclosing(source.pull(resume)) as pulls:
        return info, [pulled async for pulled in pulls]


def stored(told: list[Pulled]) -> list[SourceSegment]:
    return [pulled for pulled in told if isinstance(pulled, SourceSegment)]


def notices(told: list[Pulled]) -> list[str]:
    return [pulled.reason for pulled in told if isinstance(pulled, Notice)]


async def test_a_vod_comes_whole_with_its_title(world: World) -> None:
    info, told = await all_of(world.source())
    assert (info.kind, info.title, info.broadcast_id) == ("vod", "a VOD", "v77")
    assert info.source == "twitch.tv/videos/77"
    assert [segment.seq for segment in stored(told)] == list(range(12))
    assert told[-1] == SourceEnd()
    assert info.duration_s == pytest.approx(24.0, abs=0.2)
    assert world.twitch.looked == ["77"]


@pytest.mark.parametrize("says", [403, 200])
async def test_a_token_that_dies_in_the_middle_is_renewed_and_nothing_is_lost(
    world: World, says: int
) -> None:
    world.vod.dies_at, world.vod.tells_denial = 5, says == 200
    _, told = await all_of(world.source())
    assert [segment.seq for segment in stored(told)] == list(range(12))
    assert not [pulled for pulled in told if isinstance(pulled, SourceGap)]
    assert len(world.twitch.looked) == 2


async def test_one_segment_that_nobody_may_read_is_a_gap_of_its_own(world: World) -> None:
    world.vod.denied = {4, 5}
    _, told = await all_of(world.source())
    gaps = [pulled for pulled in told if isinstance(pulled, SourceGap)]
    assert [(gap.seq, gap.reason) for gap in gaps] == [(4, "missing"), (5, "missing")]
    assert len(stored(told)) == 10
    assert len(world.twitch.looked) <= 3


async def test_a_vod_that_is_deleted_in_the_middle_ends_with_what_was_read(world: World) -> None:
    source = world.source()
    await source.describe()
    told: list[Pulled] = []
    async with contextlib.aclosing(source.pull(None)) as pulls:
        async for pulled in pulls:
            told.append(pulled)
            world.vod.exists = False
    assert notices(told)[-1] == "vod_gone"
    assert told[-1] == SourceEnd(reason="lost")


async def test_muted_parts_are_read_under_their_own_name_and_known(world: World) -> None:
    world.vod.muted = {3, 4, 8}
    _, told = await all_of(world.source())
    assert [s.seq for s in stored(told) if s.muted] == [3, 4, 8]
    assert notices(told) == ["muted", "muted"]
    assert len(stored(told)) == 12


async def test_an_init_section_that_changes_in_the_middle_is_followed(world: World) -> None:
    world.vod.segments = [*fmp4_segments(), *fmp4_segments(size="192x108")]
    _, told = await all_of(world.source())
    inits = [fmp4_segments()[0].init] * 4 + [fmp4_segments(size="192x108")[0].init] * 4
    assert [segment.init for segment in stored(told)] == inits
    assert [segment.disc for segment in stored(told)] == [0] * 4 + [1] * 4


async def test_a_broadcast_that_still_runs_gives_what_is_there(world: World) -> None:
    world.vod.growing = True
    _, told = await all_of(world.source())
    assert notices(told) == ["vod_growing"]
    assert len(stored(told)) == 12


async def test_a_part_begins_at_its_first_segment_and_is_another_session(world: World) -> None:
    whole, _ = await all_of(world.source())
    info, told = await all_of(world.source(Span(7.0, 13.0)))
    assert [segment.seq for segment in stored(told)] == [3, 4, 5, 6]
    assert stored(told)[0].media_s == 0.0
    assert info.vod_start_s == pytest.approx(6.0, abs=0.1)
    assert info.duration_s == pytest.approx(8.0, abs=0.1)
    assert info.broadcast_id not in ("", whole.broadcast_id)


async def test_a_part_goes_on_where_it_stopped(world: World) -> None:
    _, told = await all_of(world.source(Span(7.0, 13.0)))
    last = stored(told)[1]
    resume = Resume(
        epoch=last.epoch,
        seq=last.seq,
        disc=last.disc,
        media_end_s=last.end_s,
        media_s=last.media_s,
        pts_s=last.pts_s,
    )
    _, rest = await all_of(world.source(Span(7.0, 13.0)), resume)
    wanted = stored(told)[2:]
    assert [s.seq for s in stored(rest)] == [s.seq for s in wanted]
    for again, first in zip(stored(rest), wanted, strict=True):
        assert again.media_s == pytest.approx(first.media_s)


@pytest.mark.parametrize("span", [Span(500.0), Span(3.0, 500.0)])
async def test_a_part_behind_the_end_is_refused(world: World, span: Span) -> None:
    with pytest.raises(SourceUnusable, match="0:00:24 long"):
        await world.source(span).describe()


async def test_a_vod_for_subscribers_says_so(world: World) -> None:
    world.vod.refusal = (403, "vod_manifest_restricted", "Manifest is restricted")
    with pytest.raises(SourceUnusable, match="subscribers only"):
        await world.source().describe()


async def test_a_vod_that_is_gone_says_so(world: World) -> None:
    world.vod.exists = False
    with pytest.raises(SourceUnusable, match="deleted"):
        await world.source().describe()
