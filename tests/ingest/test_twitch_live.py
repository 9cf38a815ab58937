"""Twitch's channels over real HTTP, on good and bad days, in pretended time."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from ingest.errors import SourceGone, SourceOffline, SourceUnusable
from ingest.source import Resume, SourceEnd
from tests.hls_media import fmp4_segments
from tests.ingest.twitch_world import World, world_of


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of() as made:
        yield made


async def test_a_channel_that_is_live_is_watched(world: World) -> None:
    world.twitch.channel("ann", "chess all night").go_live("b1")
    watched = await world.watch(world.live("ann"), 60)
    watched.check_whole()
    assert watched.info.title == "chess all night"
    assert watched.info.source == "twitch.tv/ann"
    assert (watched.info.broadcast_id, watched.info.broadcast_named) == ("b1", True)
    assert watched.gaps == []
    assert sum(s.duration_s for s in watched.stored) == pytest.approx(60 + 6, abs=4)
    assert {s.source_ref for s in watched.stored} == {None}
    assert len(world.twitch.looked) == 1
    assert set(world.twitch.reads) == {"1080p60"}


async def test_a_channel_with_fragmented_mp4_alone_is_watched() -> None:
    async with world_of(fmp4_segments()) as world:
        channel = world.twitch.channel("ann")
        channel.codecs = "hev1.1.2.L150.90.0.0.0.0.0,mp4a.40.2"
        channel.go_live("b1")
        watched = await world.watch(world.live("ann"), 30)
        watched.check_whole()
        assert watched.gaps == []
        assert {s.container for s in watched.stored} == {"fmp4"}
        assert {s.init for s in watched.stored} == {fmp4_segments()[0].init}


async def test_an_ad_in_the_middle_is_a_gap_and_is_never_read(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.go_live("b1")
    channel.spurious = {5, 6, 20}
    watched = await world.watch(world.live("ann"), 90, (30, lambda: channel.run_ad(20)))
    watched.check_whole()
    assert watched.missing == {"ad": 20.0}


async def test_a_discontinuity_that_is_none_parts_nothing(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.spurious = {1, 2, 5, 6, 10, 15}
    channel.go_live("b1")
    watched = await world.watch(world.live("ann"), 40)
    watched.check_whole()
    # The double's loop of four segments is a real one.
    assert [s.disc for s in watched.stored] == [s.seq // 4 for s in watched.stored]


async def test_an_ad_without_dates_is_known_by_its_title(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.dated_ads = False
    channel.go_live("b1")
    watched = await world.watch(world.live("ann"), 90, (30, lambda: channel.run_ad(20)))
    watched.check_whole()
    assert watched.missing == {"ad": 20.0}


async def test_an_ad_before_the_stream_is_a_gap(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.preroll_s = 15.0
    channel.go_live("b1")
    watched = await world.watch(world.live("ann"), 60)
    watched.check_whole()
    assert watched.missing == {"ad": pytest.approx(6 + 15, abs=2.1)}
    assert watched.stored


@pytest.mark.parametrize("base", [0, 400], ids=["lower", "higher"])
async def test_a_token_that_dies_is_renewed_without_losing_anything(
    world: World, base: int
) -> None:
    world.twitch.first_seqs = itertools.chain([200], itertools.repeat(base))
    world.twitch.channel("ann").go_live("b1")
    watched = await world.watch(world.live("ann"), 120, (60, world.twitch.kill_tokens))
    watched.check_whole()
    assert watched.gaps == []
    assert len(world.twitch.looked) == 2
    assert {s.epoch for s in watched.stored} == ({0, 1} if base == 0 else {0})


async def test_an_address_is_renewed_before_it_dies(world: World) -> None:
    world.twitch.life_s = 130.0
    world.twitch.channel("ann").go_live("b1")
    source = world.live("ann")
    source._renew_after_s = 100.0
    watched = await world.watch(source, 400)
    watched.check_whole()
    assert watched.gaps == []
    assert len(world.twitch.looked) == 4
    times = [at_s for at_s, _ in world.twitch.looked]
    assert times[1] - times[0] == pytest.approx(100, abs=4)


async def test_a_renewal_that_fails_leaves_the_old_address_in_use(world: World) -> None:
    def trouble() -> None:
        world.twitch.gql_status = 503

    world.twitch.channel("ann").go_live("b1")
    source = world.live("ann")
    source._renew_after_s = 60.0
    watched = await world.watch(source, 300, (30, trouble))
    watched.check_whole()
    assert watched.gaps == []
    assert 3 <= len(world.twitch.looked) <= 6


async def test_a_sequence_that_begins_anew_loses_nothing(world: World) -> None:
    world.twitch.first_seqs = itertools.repeat(4815)
    world.twitch.channel("ann").go_live("b1")
    watched = await world.watch(world.live("ann"), 120, (60, world.twitch.reset_sequence))
    watched.check_whole()
    assert watched.gaps == []


async def test_a_storm_of_403_is_no_storm_of_looks(world: World) -> None:
    def storm() -> None:
        world.twitch.storm_until_s = world.timer.now() + 100

    world.twitch.channel("ann").go_live("b1")
    watched = await world.watch(world.live("ann"), 240, (30, storm))
    watched.check_whole()
    assert watched.end is None
    times = [at_s for at_s, _ in world.twitch.looked]
    assert 4 <= len(times) <= 9
    assert min(b - a for a, b in itertools.pairwise(times[1:])) >= 10.0
    assert watched.missing == {"outage": pytest.approx(100 - 30, abs=30)}


async def test_a_broadcast_that_flaps_is_one(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.go_live("b1")
    watched = await world.watch(
        world.live("ann"), 400, (60, channel.go_offline), (240, channel.come_back)
    )
    watched.check_whole()
    assert watched.end is None
    assert sum(watched.missing.values()) == pytest.approx(180, abs=3)
    assert len(world.twitch.looked) < 25


async def test_an_encoder_that_starts_again_is_the_same_broadcast(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.go_live("b1")
    watched = await world.watch(world.live("ann"), 120, (61, channel.restart_encoder))
    watched.check_whole()
    assert watched.end is None
    assert sum(watched.missing.values()) <= 4.0
    assert len({s.disc for s in watched.stored}) > 2


async def test_a_broadcast_that_stays_away_has_ended(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.go_live("b1")
    watched = await world.watch(world.live("ann"), 900, (60, channel.go_offline))
    watched.check_whole()
    assert watched.end == SourceEnd(reason="ended")
    now_s = world.timer.now()
    assert now_s - world.twitch.looked[0][0] == pytest.approx(60 + 300, abs=12)


async def test_another_broadcast_ends_the_one_before(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.go_live("b1")

    def again() -> None:
        channel.go_live("b2")

    watched = await world.watch(world.live("ann"), 900, (60, channel.go_offline), (100, again))
    watched.check_whole()
    assert watched.end == SourceEnd(reason="ended")
    assert world.timer.now() - world.twitch.looked[0][0] < 145
    following = await world.watch(world.live("ann"), 20)
    assert following.info.broadcast_id == "b2"


async def test_a_watch_that_starts_again_goes_on_by_date(world: World) -> None:
    world.twitch.first_seqs = iter([500, 3])
    world.twitch.channel("ann").go_live("b1")
    before = await world.watch(world.live("ann"), 60)
    last = before.stored[-1]
    assert last.pdt_s is not None
    resume = Resume(
        epoch=last.epoch,
        seq=last.seq,
        disc=last.disc,
        media_end_s=last.end_s,
        media_s=last.media_s,
        pts_s=last.pts_s,
        pdt_s=last.pdt_s,
        age_s=5.0,
    )
    await world.timer.sleep(12)
    after = await world.watch(world.live("ann"), 30, resume=resume)
    after.check_whole()
    assert after.gaps == []
    assert after.stored[0].pdt_s == pytest.approx(last.pdt_s + last.duration_s, abs=0.01)
    assert after.stored[0].epoch == 1
    assert after.stored[0].media_s == pytest.approx(last.end_s)


@pytest.mark.parametrize(
    ("quality", "read"),
    [
        ((), "1080p60"),
        (("720p60",), "720p60"),
        (("480p", "720p60"), "480p30"),
        (("1440p60", "360p30"), "360p30"),
        (("source",), "1080p60"),
        (("chunked",), "1080p60"),
        (("best",), "1080p60"),
        (("audio_only",), "1080p60"),
        (("720p60_portrait",), "720p60_portrait"),
        (("nothing",), "1080p60"),
    ],
)
async def test_the_quality_that_is_wished_for_is_read(
    world: World, quality: tuple[str, ...], read: str
) -> None:
    world.twitch.channel("ann").go_live("b1")
    await world.watch(world.live("ann", quality=quality), 4)
    assert set(world.twitch.reads) == {read}


async def test_sound_alone_is_watched_and_told(world: World) -> None:
    channel = world.twitch.channel("ann")
    channel.renditions = ("audio_only",)
    channel.go_live("b1")
    watched = await world.watch(world.live("ann"), 10)
    assert watched.notices == ["audio_only"]
    assert watched.info.has_video is False


Spoil = Callable[[World], object]


def _banned(world: World) -> None:
    world.twitch.channels["ann"].exists = False


def _integrity(world: World) -> None:
    world.twitch.wants_integrity = True


def _busy(world: World) -> None:
    world.twitch.gql_status = 429


def _broken(world: World) -> None:
    world.twitch.gql_status = 502


def _usher(status: int, code: str) -> Spoil:
    def spoil(world: World) -> None:
        world.twitch.channels["ann"].go_live("b1")
        world.twitch.channels["ann"].refusal = (status, code, "no")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (lambda world: None, SourceOffline, r"^twitch\.tv/ann is offline$"),
        (_banned, SourceUnusable, "no channel ann on Twitch"),
        (_integrity, SourceGone, "browser's proof"),
        (_busy, SourceGone, "too often"),
        (_broken, SourceGone, "error 502"),
        (_usher(403, "content_geoblocked"), SourceUnusable, "country"),
        (_usher(403, "unauthorized_entitlements"), SourceUnusable, "subscribers only"),
        (_usher(403, "other"), SourceGone, "refuses its playlist"),
        (_usher(500, ""), SourceGone, "error 500"),
    ],
)
async def test_what_cannot_be_watched_is_said_in_words(
    world: World, spoil: Spoil, kind: type[Exception], said: str
) -> None:
    world.twitch.channel("ann")
    spoil(world)
    with pytest.raises(kind, match=said) as caught:
        await world.live("ann").describe()
    assert caught.type is kind
    assert "http" not in str(caught.value)
