"""Live streams that go wrong in every way: what is lost is a gap, and no clip holds one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bus.events import ClipPlanned, Event, SegmentMissing, SegmentStored, SessionEnded
from bus.events import SessionStarted as Started
from bus.local import LocalBus
from ops.demo.live_stream import Asked, OriginSegment, Reply, StreamShape
from ops.demo.origin import LiveOrigin
from tests.e2e import bad_stream
from tests.e2e.bad_stream import BadDay, Clock, ending, write_chat
from tests.e2e.media import clips_of
from tests.e2e.process import Running, run, running
from tests.hls_media import ts_segments

SPEED = 4.0
STOP_LIMIT_S = 15.0
QUICK_INGEST = (
    *("--set", f"ingest.playlist_bytes_max={bad_stream.PLAYLIST_BYTES_MAX}"),
    *("--set", "ingest.segment_retries_s=0.1,0.2"),
    *("--set", "ingest.segment_timeout_min_s=3", "--set", "ingest.segment_timeout_durations=1"),
    *("--set", "ingest.backoff_first_s=0.2", "--set", "ingest.backoff_max_s=0.4"),
    *("--set", "ingest.stalled_after_s=2", "--set", "clipper.live.cooldown_s=5"),
)
KILLED_AT_S, HOLE_S, ENDS_AT_S = 30.0, 45.0, 170.0
LATER_S = 120.0
LATE_S = 120.0
"""Media second behind which only the outage is left of the worst day."""


@dataclass(frozen=True)
class Watched:
    """What one scenario has left."""

    folder: Path
    runs: Sequence[Running]
    events: Sequence[Event]
    seen: frozenset[str] = frozenset()

    @property
    def spans(self) -> list[SegmentStored | SegmentMissing]:
        return [e for e in self.events if isinstance(e, SegmentStored | SegmentMissing)]

    @property
    def gaps(self) -> list[SegmentMissing]:
        return [e for e in self.events if isinstance(e, SegmentMissing)]

    @property
    def zero_s(self) -> float:
        """Seconds from the stream's beginning to the session's media zero."""
        return self.spans[0].seq * bad_stream.SEGMENT_S

    @property
    def clips(self) -> list[dict[str, Any]]:
        return clips_of(self.folder)

    def check_whole(self) -> None:
        """Media and gaps follow each other without a hole, each told once."""
        for before, after in pairwise(self.spans):
            assert after.media_s == pytest.approx(before.end_s, abs=0.75)
        numbers = [(span.epoch, span.seq) for span in self.spans]
        assert numbers == sorted(set(numbers))

    def check_clips(self) -> None:
        """No clip holds a gap, none is there twice."""
        clips = self.clips
        assert len({clip["id"] for clip in clips}) == len(clips)
        for before, after in pairwise(clips):
            assert before["peak_s"] < after["peak_s"]
        planned = [e.clip_id for e in self.events if isinstance(e, ClipPlanned)]
        assert len(set(planned)) == len(planned)
        for clip in clips:
            assert clip["gap_s"] == 0
            inside = [g for g in self.gaps if overlap_s(clip, g.media_s, g.end_s) > 0.05]
            assert inside == []


def overlap_s(clip: dict[str, Any], start_s: float, end_s: float) -> float:
    return float(min(clip["end_s"], end_s) - max(clip["start_s"], start_s))


async def events_of(folder: Path) -> list[Event]:
    """Return everything that a folder's log tells of sessions, media and clips."""
    found: list[Event] = []
    topics = ("sessions", "segments", "clips")
    async with (
        LocalBus.open(folder / ".clipthat" / "bus.db") as bus,
        bus.subscribe("look", topics) as log,
    ):
        while records := await log.fetch(1000, 0.1):
            found += [record.event for record in records]
    return found


def media(seconds: int = 20) -> tuple[OriginSegment, ...]:
    return ts_segments(seconds=seconds, size="320x180")


def live(origin: LiveOrigin, *more: str) -> tuple[str, ...]:
    return ("live", origin.live_url, "--chat", "chat.jsonl", "--out", "out", *QUICK_INGEST, *more)


async def worst_day(folder: Path) -> Watched:
    clock = Clock(SPEED)
    day = BadDay(clock)
    shape = StreamShape(window=20, listed_at_start=8)
    async with LiveOrigin(media(), shape=shape, clock=clock, spoil=day) as origin:
        assert origin.stream is not None
        day.began_s = origin.stream.began_s
        bursts_s = (bad_stream.BEFORE_AD_S, bad_stream.BEHIND_AD_S)
        write_chat(folder / "chat.jsonl", day.began_s, 240, bursts_s)
        watched = await run(folder, *live(origin))
    return Watched(folder / "out", [watched], await events_of(folder / "out"), frozenset(day.seen))


async def killed_and_stopped(folder: Path) -> Watched:
    """Kill the watch once a clip is cut, stop it at the next one, let the third run end."""
    clock = Clock(SPEED)
    shape = StreamShape(window=10, listed_at_start=4)
    origin = LiveOrigin(
        media(), shape=shape, clock=clock, spoil=ending(clock, ENDS_AT_S, lambda: began_of(origin))
    )
    async with origin:
        write_chat(folder / "chat.jsonl", began_of(origin), 200, (KILLED_AT_S, LATER_S))
        async with running(folder, *live(origin)) as first:
            assert await first.until_type("clip.cut")
            first.kill()
        clock.stand()
        clock.leap(HOLE_S)
        async with running(folder, *live(origin)) as second:
            assert await second.until(lambda line: is_new_cut(line, first))
            second.send(signal.SIGTERM)
            await second.ended(STOP_LIMIT_S)
        clock.stand()
        third = await run(folder, *live(origin))
    return Watched(folder / "out", [first, second, third], await events_of(folder / "out"))


def began_of(origin: LiveOrigin) -> float:
    assert origin.stream is not None
    return origin.stream.began_s


def is_new_cut(line: dict[str, Any], before: Running) -> bool:
    known = {event["clip_id"] for event in before.told("clip.cut")}
    return "clip.cut" in line["type"] and line["event"]["clip_id"] not in known


async def service(folder: Path) -> Watched:
    """Run the service on a stream that is not there yet; stop it while it renders."""
    asks: list[Asked] = []
    clock = Clock(SPEED)

    def late(asked: Asked, reply: Reply, now_s: float) -> Reply | None:
        asks.append(asked)
        if len(asks) > 3:
            clock.start()
        return reply if len(asks) > 3 else None

    shape = StreamShape(window=16, listed_at_start=8)
    async with LiveOrigin(media(), shape=shape, clock=clock, spoil=late) as origin:
        lines = f'[[channels]]\nurl = "{origin.live_url}"\nchat = "chat.jsonl"\n'
        (folder / "clipthat.toml").write_text(lines)
        bursts_s = tuple(float(at_s) for at_s in range(40, 400, 40))
        write_chat(folder / "chat.jsonl", began_of(origin), 400, bursts_s)
        settings = ("--set", "web.port=0", "--set", f"data_dir={folder / 'data'}")
        async with running(folder, "run", *settings, *QUICK_INGEST, json_lines=False) as command:
            await asyncio.wait_for(cut_in(folder / "data", command), 100)
            command.send(signal.SIGTERM)
            await command.ended(STOP_LIMIT_S)
    return Watched(folder, [command], await events_of(folder / "data"))


async def cut_in(folder: Path, command: Running) -> None:
    """Wait for a source cut; fails at once when the command has ended."""
    while not list(folder.rglob("clips/*/cut.json")):
        assert command.process.returncode is None
        await asyncio.sleep(0.05)


SCENARIOS = {"worst day": worst_day, "killed": killed_and_stopped, "service": service}


@pytest.fixture(scope="module")
def all_watched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Watched | BaseException]:
    """Run all scenarios side by side: they mostly wait for their streams."""
    media()

    async def watch() -> list[Watched | BaseException]:
        runs: list[Awaitable[Watched]] = [
            scenario(tmp_path_factory.mktemp("stream")) for scenario in SCENARIOS.values()
        ]
        return await asyncio.gather(*runs, return_exceptions=True)

    return dict(zip(SCENARIOS, asyncio.run(watch()), strict=True))


@pytest.fixture
def worst(all_watched: dict[str, Watched | BaseException]) -> Watched:
    return ran(all_watched["worst day"])


@pytest.fixture
def killed(all_watched: dict[str, Watched | BaseException]) -> Watched:
    return ran(all_watched["killed"])


@pytest.fixture
def served(all_watched: dict[str, Watched | BaseException]) -> Watched:
    return ran(all_watched["service"])


def ran(result: Watched | BaseException) -> Watched:
    if isinstance(result, BaseException):
        raise result
    return result


def test_the_worst_day_is_watched_to_its_end(worst: Watched) -> None:
    (watched,) = worst.runs
    assert watched.process.returncode == 0, watched.said
    assert worst.seen == {"500", "HTML", "empty", "404", "oversized", "frozen", "away"}
    (ended,) = [e for e in worst.events if isinstance(e, SessionEnded)]
    assert ended.reason == "ended"
    worst.check_whole()


def test_each_spoiled_segment_is_a_gap_of_its_own(worst: Watched) -> None:
    reasons = {gap.seq: gap.reason for gap in worst.gaps if gap.epoch == 0}
    spoiled = {bad_stream.CUT: "corrupt", bad_stream.GONE: "missing", bad_stream.PAGE: "corrupt"}
    assert spoiled.items() <= reasons.items()
    assert reasons[bad_stream.SLOW] == "late"


def test_spoiled_playlists_and_a_stall_lose_nothing(worst: Watched) -> None:
    lost = {gap.seq for gap in worst.gaps if gap.media_s < LATE_S}
    assert lost == {bad_stream.CUT, bad_stream.GONE, bad_stream.PAGE, bad_stream.SLOW} | set(
        bad_stream.AD
    )
    (watched,) = worst.runs
    assert "stalled" in {notice["reason"] for notice in watched.told("degraded")}


def test_an_origin_that_comes_back_with_new_numbers_is_a_gap_and_a_new_epoch(
    worst: Watched,
) -> None:
    (outage,) = [gap for gap in worst.gaps if gap.media_s >= LATE_S]
    assert outage.reason == "outage"
    assert outage.duration_s > 5
    stored = [span for span in worst.spans if isinstance(span, SegmentStored)]
    assert {span.epoch for span in stored} == {0, 1}
    assert stored[-1].media_s > outage.end_s


def test_an_ad_is_a_gap_and_in_no_clip(worst: Watched) -> None:
    start_s, end_s = (at_s - worst.zero_s for at_s in bad_stream.AD_S)
    ads = [gap for gap in worst.gaps if gap.reason == "ad"]
    assert [gap.seq for gap in ads] == list(bad_stream.AD)
    assert ads[0].media_s == pytest.approx(start_s, abs=0.1)
    edges = [abs(clip["end_s"] - start_s) for clip in worst.clips]
    edges += [abs(clip["start_s"] - end_s) for clip in worst.clips]
    assert min(edges) < 0.1, "a clip would reach into the ad"
    worst.check_clips()


def test_a_clip_goes_across_a_discontinuity(worst: Watched) -> None:
    stored = [span for span in worst.spans if isinstance(span, SegmentStored)]
    seams = [after.media_s for before, after in pairwise(stored) if before.disc != after.disc]
    assert any(clip["start_s"] < seam < clip["end_s"] for clip in worst.clips for seam in seams)


def test_a_killed_watch_goes_on_in_its_session_and_the_hole_is_a_gap(killed: Watched) -> None:
    assert [r.process.returncode for r in killed.runs] == [-signal.SIGKILL, 130, 0], [
        r.said for r in killed.runs
    ]
    assert len([e for e in killed.events if isinstance(e, Started)]) == 1
    assert sum(gap.duration_s for gap in killed.gaps) > 5
    assert {gap.reason for gap in killed.gaps} <= {"outage", "late"}
    killed.check_whole()


def test_a_killed_watch_loses_no_clip_and_makes_none_twice(killed: Watched) -> None:
    killed.check_clips()
    first, second, _ = killed.runs
    known = {event["clip_id"] for run in (first, second) for event in run.told("clip.cut")}
    assert len(known) >= 2
    assert known == {clip["id"] for clip in killed.clips}


def test_the_service_watches_a_stream_that_comes_later_and_stops_while_it_renders(
    served: Watched,
) -> None:
    (command,) = served.runs
    assert command.process.returncode == 0, command.said
    assert "Traceback" not in command.said
    assert any(isinstance(e, SegmentStored) for e in served.events)
    assert not [e for e in served.events if isinstance(e, SessionEnded)]
