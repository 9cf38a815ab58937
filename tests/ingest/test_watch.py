"""A whole watch: what stands on the bus and in the ring, and what a killed one leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bus.events import (
    ChannelDegraded,
    ChatWindow,
    LiveLagged,
    MinuteWatched,
    MomentsSettled,
    ReactionLearned,
    SegmentMissing,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)
from bus.stage import Ctx
from ingest.chat.line import ChatLine
from ingest.errors import SourceGone, SourceOffline
from ingest.history import read_history
from ingest.settings import IngestSettings
from ops.demo.live_stream import Asked, Reply
from store.errors import StorageFull
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.faulty_origin import FaultyOrigin, during, gone
from tests.hls_media import fmp4_segments, ts_segments
from tests.ingest.world import ListChat, World, check_whole, world_at


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    origin = FaultyOrigin(ts_segments(), FakeTimer())
    async with world_at(tmp_path, origin) as made:
        yield made


async def kill_after(world: World, run: asyncio.Task[None], spans: int) -> None:
    """Cancel a run once so many segment events lie on the bus."""
    async with world.bus.subscribe(f"killer-{id(run)}", ("segments",)) as log:
        seen = 0
        while seen < spans:
            seen += len(await log.fetch(100, 1.0))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def settle(world: World, session_id: str, media_s: float) -> None:
    await world.bus.publish(
        [MomentsSettled(tenant_id="t", channel_id="c", session_id=session_id, media_s=media_s)]
    )


async def test_a_live_session_from_start_to_stop(world: World) -> None:
    lines = [ChatLine(t_s=at / 2, user="u0000000001", text="hello") for at in range(100)]
    world.settings = IngestSettings(ring_s=30)
    watch = world.watch(world.live(), ListChat(lines), stop_after_s=150)
    await watch.run(world.ctx)

    [started] = [e for e in await world.events("sessions") if isinstance(e, SessionStarted)]
    assert started.kind == "live"
    assert started.has_chat
    assert started.wall_start_s == pytest.approx(world.origin.began_s, abs=0.01)
    spans = await world.spans()
    check_whole(spans)
    [ended] = [e for e in await world.events("sessions") if isinstance(e, SessionEnded)]
    assert ended.reason == "stopped"
    assert ended.media_s == pytest.approx(spans[-1].end_s)
    assert ended.stored_s == pytest.approx(sum(s.duration_s for s in spans), abs=0.1)
    assert ended.stored_s == pytest.approx(150 + 6, abs=4)

    minutes = [e.minute for e in await world.events("usage") if isinstance(e, MinuteWatched)]
    assert minutes == [0, 1]
    windows = [e for e in await world.events("chat") if isinstance(e, ChatWindow)]
    assert [w.media_s for w in windows] == [float(s) for s in range(int(ended.chat_until_s))]
    assert ended.chat_until_s >= ended.media_s
    assert sum(w.lines for w in windows) == len(lines)

    held = [s for s in spans if isinstance(s, SegmentStored) and s.object_key in world.objects.held]
    assert held[-1] == spans[-1]
    assert 28 <= held[-1].end_s - held[0].media_s <= 34
    assert len([key for key in world.objects.held if "/ring/" in key]) == len(held)


async def test_init_sections_are_stored_once(tmp_path: Path) -> None:
    async with world_at(tmp_path, FaultyOrigin(fmp4_segments(), FakeTimer())) as world:
        await world.watch(world.live(), stop_after_s=20).run(world.ctx)
        keys = {s.init_key for s in await world.spans() if isinstance(s, SegmentStored)}
        [key] = keys
        assert key is not None
        assert world.objects.held[key] == fmp4_segments()[0].init


async def test_a_killed_live_watch_goes_on_in_the_same_session(world: World) -> None:
    first = asyncio.create_task(world.watch(world.live()).run(world.ctx))
    await kill_after(world, first, 12)
    await world.timer.sleep(30)
    await world.watch(world.live(), stop_after_s=120).run(world.ctx)

    sessions = await world.events("sessions")
    assert sum(isinstance(e, SessionStarted) for e in sessions) == 1
    spans = await world.spans()
    check_whole(spans)
    gaps = [s for s in spans if isinstance(s, SegmentMissing)]
    assert sum(g.duration_s for g in gaps) == pytest.approx(30 - 16, abs=6)
    assert all(gap.reason == "outage" for gap in gaps)


async def test_a_session_goes_on_though_nobody_reads_its_chat_any_more(world: World) -> None:
    said = [ChatLine(t_s=3.5, user="u", text="hello")]
    first = asyncio.create_task(world.watch(world.live(), ListChat(said)).run(world.ctx))
    await kill_after(world, first, 12)
    await world.watch(world.live(), stop_after_s=120).run(world.ctx)

    windows = [e for e in await world.events("chat") if isinstance(e, ChatWindow)]
    (ended,) = [e for e in await world.events("sessions") if isinstance(e, SessionEnded)]
    assert [window.media_s for window in windows] == list(range(len(windows)))
    assert windows[-1].media_s + 1 == ended.chat_until_s >= ended.media_s - 0.001
    assert not windows[3].gap
    assert windows[-2].gap


async def test_history_is_read_while_other_channels_go_on_writing(world: World) -> None:
    await world.watch(world.live(), stop_after_s=20).run(world.ctx)
    (mine,) = [e for e in await world.events("sessions") if isinstance(e, SessionStarted)]
    seconds = 0

    async def write_on() -> None:
        nonlocal seconds
        while True:
            seconds += 1
            window = ChatWindow(
                tenant_id="t", channel_id="other", session_id="o", media_s=float(seconds)
            )
            await world.bus.publish([window])

    writing = asyncio.create_task(write_on())
    logs = await read_history(world.bus, "t", "c", world.timer.now())
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert list(logs) == [mine.session_id]
    assert logs[mine.session_id].ended


async def test_a_live_watch_that_comes_too_late_begins_a_new_session(world: World) -> None:
    first = asyncio.create_task(world.watch(world.live()).run(world.ctx))
    await kill_after(world, first, 12)
    await world.timer.sleep(100)
    await world.watch(world.live(), stop_after_s=20).run(world.ctx)

    sessions = await world.events("sessions")
    started = [e.session_id for e in sessions if isinstance(e, SessionStarted)]
    ended = [(e.session_id, e.reason) for e in sessions if isinstance(e, SessionEnded)]
    assert len(set(started)) == 2
    assert ended == [(started[0], "lost"), (started[1], "stopped")]


async def test_a_channel_that_stays_away_has_its_session_ended_without_a_look(
    world: World,
) -> None:
    assert await world.watch(world.live()).end_lost(world.ctx)
    first = asyncio.create_task(world.watch(world.live()).run(world.ctx))
    await kill_after(world, first, 12)
    asked = len(world.origin.asked)
    watch = world.watch(world.live())
    await world.timer.sleep(world.settings.lost_after_s - 30)
    assert not await watch.end_lost(world.ctx)
    await world.timer.sleep(60)
    assert await watch.end_lost(world.ctx)
    assert await watch.end_lost(world.ctx)
    assert [e.reason for e in await world.events("sessions") if isinstance(e, SessionEnded)] == [
        "lost"
    ]
    assert len(world.origin.asked) == asked


async def test_a_recording_that_was_left_is_never_lost(tmp_path: Path) -> None:
    def away(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        return reply if asked.kind != "segment" else None

    async with world_at(tmp_path, FaultyOrigin(ts_segments() * 10, FakeTimer())) as world:
        world.origin.spoilers.append(away)
        with pytest.raises(SourceGone):
            await world.watch(world.vod()).run(world.ctx)
        assert any(isinstance(e, SessionStarted) for e in await world.events("sessions"))
        await world.timer.sleep(10_000)
        assert await world.watch(world.live()).end_lost(world.ctx)
        assert not [e for e in await world.events("sessions") if isinstance(e, SessionEnded)]


async def test_a_new_session_begins_with_what_the_one_before_has_learned(world: World) -> None:
    for delays_s in ((), (9.0, 8.5), ()):
        await world.watch(world.live(), stop_after_s=10).run(world.ctx)
        started = [e for e in await world.events("sessions") if isinstance(e, SessionStarted)]
        learned = [
            ReactionLearned(
                tenant_id="t",
                channel_id="c",
                session_id=started[-1].session_id,
                media_s=60.0 + number,
                delay_s=delay_s,
                usual_s=5.0,
                spread_s=1.0,
                samples=9,
            )
            for number, delay_s in enumerate(delays_s)
        ]
        await world.bus.publish(learned)
    assert [each.reaction_s for each in started] == [None, None, 8.5]


async def test_draining_leaves_the_session_open(world: World) -> None:
    ctx = Ctx(bus=world.bus)
    run = asyncio.create_task(world.watch(world.live()).run(ctx))
    async with world.bus.subscribe("drainer", ("segments",)) as log:
        await log.fetch(1, 10.0)
    ctx.draining.set()
    await run
    assert not [e for e in await world.events("sessions") if isinstance(e, SessionEnded)]


async def test_an_origin_that_is_lost_ends_the_session(world: World) -> None:
    world.origin.spoilers.append(during(20, 1e9, gone))
    await world.watch(world.live()).run(world.ctx)
    sessions = await world.events("sessions")
    assert [e.reason for e in sessions if isinstance(e, ChannelDegraded)] == ["stalled"]
    assert [e.reason for e in sessions if isinstance(e, SessionEnded)] == ["lost"]


async def test_what_an_ended_playlist_goes_on_listing_is_not_watched_again(world: World) -> None:
    last: list[bytes] = []

    def over(asked: Asked, reply: Reply, t_s: float) -> Reply:
        if asked.kind != "playlist" or t_s < 40:
            return reply
        if not last:
            last.append(reply.body + b"#EXT-X-ENDLIST\n")
        return replace(reply, body=last[0])

    world.origin.spoilers.append(over)
    await world.watch(world.live(), kept=True).run(world.ctx)
    await world.timer.sleep(60)
    with pytest.raises(SourceOffline, match="has ended"):
        await world.watch(world.live(), kept=True).run(world.ctx)
    (started,) = [e for e in await world.events("sessions") if isinstance(e, SessionStarted)]

    world.origin.spoilers.clear()
    await world.watch(world.live(), kept=True, stop_after_s=20).run(world.ctx)
    told = [e for e in await world.events("sessions") if isinstance(e, SessionStarted)]
    assert [e.session_id == started.session_id for e in told] == [True, False]


async def test_a_vod_is_watched_once(world: World) -> None:
    await world.watch(world.vod(), clips_max=3).run(world.ctx)
    spans = await world.spans()
    check_whole(spans)
    assert [s.seq for s in spans] == [0, 1, 2, 3]
    before = await world.events()
    await world.watch(world.vod(), clips_max=3).run(world.ctx)
    assert await world.events() == before


async def test_a_replay_waits_for_its_detectors(tmp_path: Path) -> None:
    origin = FaultyOrigin(ts_segments() * 50, FakeTimer())
    async with world_at(tmp_path, origin) as world:
        world.settings = IngestSettings(ahead_s=20.0, ring_s=10.0)
        watch = world.watch(world.vod())
        run = asyncio.create_task(watch.run(world.ctx))
        async with world.bus.subscribe("follower", ("segments",)) as log:
            end_s = settled_s = 0.0
            while end_s < 400:
                for record in await log.fetch(500, 2.0):
                    event = record.event
                    assert isinstance(event, SegmentStored)
                    assert event.media_s <= settled_s + 20.0 + 1e-6
                    assert event.object_key in world.objects.held
                    end_s = event.end_s
                assert watch.session_id is not None
                assert end_s >= min(400.0, settled_s + 20.0)
                settled_s = end_s
                await settle(world, watch.session_id, settled_s)
        await run
        [ended] = [e for e in await world.events("sessions") if isinstance(e, SessionEnded)]
        assert ended.reason == "ended"
        assert ended.media_s == pytest.approx(400.0)


async def test_a_replay_holds_back_while_live_is_behind(tmp_path: Path) -> None:
    origin = FaultyOrigin(ts_segments() * 50, FakeTimer())
    async with world_at(tmp_path, origin) as world:
        world.settings = IngestSettings(ahead_s=200.0, ahead_pressed_s=20.0, batch_segments=1)
        await world.bus.publish([live_lagged(100.0)])
        watch = world.watch(world.vod())
        run = asyncio.create_task(watch.run(world.ctx))
        async with world.bus.subscribe("follower", ("segments",)) as log:
            end_s = settled_s = 0.0
            while end_s < 200:
                for record in await log.fetch(500, 2.0):
                    event = record.event
                    assert isinstance(event, SegmentStored)
                    assert event.media_s <= settled_s + 20.0 + 1e-6
                    end_s = event.end_s
                assert watch.session_id is not None
                settled_s = end_s
                await settle(world, watch.session_id, settled_s)
            await world.bus.publish([live_lagged(120.0, over=True)])
            # Nothing is settled any more, and it goes on all the same.
            while end_s < 400:
                for record in await log.fetch(500, 2.0):
                    assert isinstance(record.event, SegmentStored)
                    end_s = record.event.end_s
        await run
        [ended] = [e for e in await world.events("sessions") if isinstance(e, SessionEnded)]
        assert ended.media_s == pytest.approx(400.0)


def live_lagged(media_s: float, *, over: bool = False) -> LiveLagged:
    return LiveLagged(
        tenant_id="t",
        channel_id="live",
        session_id="live",
        media_s=media_s,
        lag_s=30.0,
        over=over,
    )


async def test_a_killed_vod_is_resumed_without_doing_anything_twice(tmp_path: Path) -> None:
    origin = FaultyOrigin(ts_segments() * 10, FakeTimer())
    async with world_at(tmp_path, origin) as world:
        world.settings = IngestSettings(batch_segments=4)
        first = asyncio.create_task(world.watch(world.vod()).run(world.ctx))
        await kill_after(world, first, 8)
        done = len(await world.spans())
        asked_before = len(origin.asked)
        await world.watch(world.vod()).run(world.ctx)
        spans = await world.spans()
        check_whole(spans)
        assert [s.seq for s in spans] == list(range(40))
        again = [a.number for _, a in origin.asked[asked_before:] if a.kind == "segment"]
        assert min(again, default=40) == done
        minutes = [e.minute for e in await world.events("usage") if isinstance(e, MinuteWatched)]
        assert minutes == [0]


async def test_a_full_disk_stops_the_watch_and_it_can_be_resumed(tmp_path: Path) -> None:
    origin = FaultyOrigin(ts_segments() * 5, FakeTimer())
    async with world_at(tmp_path, origin) as world:
        world.objects.bytes_max = 900_000
        with pytest.raises(StorageFull):
            await world.watch(world.vod()).run(world.ctx)
        told = await world.spans()
        assert 0 < len(told) < 20
        assert all(
            isinstance(s, SegmentStored) and s.object_key in world.objects.held for s in told
        )
        world.objects.bytes_max = 10**12
        await world.watch(world.vod()).run(world.ctx)
        assert [s.seq for s in await world.spans()] == list(range(20))


async def test_a_vod_waits_for_its_origin(tmp_path: Path) -> None:
    origin = FaultyOrigin(ts_segments() * 10, FakeTimer())

    def away(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        return reply if asked.kind != "segment" else None

    async with world_at(tmp_path, origin) as world:
        origin.spoilers.append(during(0, 60, away))
        await world.watch(world.vod()).run(world.ctx)
        spans = await world.spans()
        assert [s.seq for s in spans] == list(range(40))
        assert all(isinstance(s, SegmentStored) for s in spans)


async def test_a_vod_whose_origin_stays_away_can_be_resumed(tmp_path: Path) -> None:
    origin = FaultyOrigin(ts_segments() * 10, FakeTimer())

    def away(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        return reply if asked.kind != "segment" else None

    async with world_at(tmp_path, origin) as world:
        origin.spoilers.append(away)
        with pytest.raises(SourceGone):
            await world.watch(world.vod()).run(world.ctx)
        assert not [e for e in await world.events("sessions") if isinstance(e, SessionEnded)]
        origin.spoilers.clear()
        await world.watch(world.vod()).run(world.ctx)
        assert [s.seq for s in await world.spans()] == list(range(40))


async def test_live_and_vod_place_the_same_segments_alike(tmp_path: Path) -> None:
    places = []
    for name in ("live", "vod"):
        origin = FaultyOrigin(ts_segments() * 8, FakeTimer())
        (tmp_path / name).mkdir()
        async with world_at(tmp_path / name, origin) as world:
            source = world.live() if name == "live" else world.vod()
            stop_after_s = 58.0 if name == "live" else None
            await world.watch(source, stop_after_s=stop_after_s).run(world.ctx)
            spans = [s for s in await world.spans() if isinstance(s, SegmentStored)]
            places.append(
                [(s.seq, s.disc, round(s.media_s, 3), s.pts_s and round(s.pts_s, 3)) for s in spans]
            )
    live, vod = places
    assert len(live) >= 30
    assert vod[: len(live)] == live[: len(vod)]
