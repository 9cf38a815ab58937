"""`clipthat vod` on a Twitch VOD: a muted part, a dying token, chat from Twitch itself."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from pathlib import Path

import pytest

from bus.events import (
    ChatWindow,
    Event,
    MinuteWatched,
    SegmentMissing,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)
from bus.local import LocalBus
from ops.demo.live_stream import OriginSegment
from tests.doubles.twitch.server import serving
from tests.doubles.twitch.vods import Said, TwitchVods
from tests.e2e.media import clips_of, moments_of
from tests.e2e.process import Running, run
from tests.hls_media import ts_segments

SECONDS = 160
BURST_S = 100
MUTED = range(46, 56)
"""Numbers of two-second segments around the burst."""
FROM_S = 40.0


def media() -> list[OriginSegment]:
    """The same twenty seconds again and again: timestamps begin anew, as after a restart."""
    return [*ts_segments(seconds=20, size="320x180")] * (SECONDS // 20)


def chat() -> list[Said]:
    calm = [Said(t, f"hello number {t}", f"viewer{t % 7}") for t in range(0, SECONDS, 3)]
    texts = ("OMG", "WOW LUL", "no way", "clip that")
    burst = [Said(BURST_S + n // 5, texts[n % 4], f"fan{n}") for n in range(40)]
    return [*calm, *burst]


async def watched(folder: Path, twitch: TwitchVods, *more: str) -> Running:
    async with serving(twitch) as address:
        ran = await run(
            folder,
            *("vod", "https://www.twitch.tv/videos/77", "--top", "1", "--out", "out"),
            *("--set", f"twitch.gql_url={address}/gql", "--set", f"twitch.usher_url={address}"),
            *("--set", "ingest.segment_retries_s=0.1,0.1", *more),
        )
    assert twitch.violations == []
    return ran


def double() -> TwitchVods:
    twitch = TwitchVods(time.time)
    twitch.page_size = 20
    vod = twitch.vod("77", media())
    vod.title, vod.muted, vod.dies_at = "chess", set(MUTED), 60
    vod.comments = chat()
    return twitch


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Running, TwitchVods]:
    folder = tmp_path_factory.mktemp("twitch-vod")
    twitch = double()
    twitch.cursor_refused = True
    return (
        folder / "out",
        asyncio.run(watched(folder, twitch, "--from", "0:40", "--to", "150")),
        twitch,
    )


def test_a_part_of_a_vod_becomes_clips_at_their_place(
    part: tuple[Path, Running, TwitchVods],
) -> None:
    folder, ran, twitch = part
    assert ran.process.returncode == 0, ran.said
    (clip,) = clips_of(folder)
    assert {"chat_spike", "clip_command"} <= set(clip["kinds"])
    assert clip["vod_start_s"] < BURST_S < clip["vod_end_s"] + 15
    assert clip["vod_start_s"] - clip["start_s"] == pytest.approx(FROM_S, abs=2.0)
    assert 0 not in {int(name.partition(".")[0].partition("-")[0]) for name in twitch.reads}
    assert len(twitch.looked) == 2, "the token died once"
    started = ran.told("session.started")[0]
    assert started["duration_s"] == pytest.approx(110.0, abs=3.0)


def test_a_clip_says_that_its_sound_is_muted(part: tuple[Path, Running, TwitchVods]) -> None:
    folder, ran, _ = part
    (clip,) = clips_of(folder)
    assert clip["muted_s"] > 5
    assert any("muted by the platform" in note for note in clip["notes"])
    assert "muted" in {notice["reason"] for notice in ran.told("degraded")}
    assert "excitement" not in {moment["kind"] for moment in moments_of(folder)}


async def events_of(folder: Path) -> list[Event]:
    """Return what a folder's log tells of the session, its media, chat and minutes."""
    found: list[Event] = []
    topics = ("sessions", "segments", "chat", "usage")
    async with (
        LocalBus.open(folder / ".clipthat" / "bus.db") as bus,
        bus.subscribe("look", topics) as log,
    ):
        while records := await log.fetch(1000, 5.0):
            found += [record.event for record in records]
    return found


async def test_session_chat_counts_and_minutes_of_a_part_are_right(
    part: tuple[Path, Running, TwitchVods],
) -> None:
    folder, _, twitch = part
    events = await events_of(folder)
    (started,) = [e for e in events if isinstance(e, SessionStarted)]
    (ended,) = [e for e in events if isinstance(e, SessionEnded)]
    stored = [e for e in events if isinstance(e, SegmentStored)]
    stored_s = sum(span.duration_s for span in stored)
    assert not [e for e in events if isinstance(e, SegmentMissing)]
    assert ended.reason == "ended"
    assert ended.stored_s == pytest.approx(stored_s, abs=0.01)
    assert ended.media_s == pytest.approx(stored_s, abs=0.01)
    assert stored_s == pytest.approx(started.duration_s, abs=2.0)
    muted = [(e.media_s + started.vod_start_s) / 2 for e in stored if e.muted]
    assert muted == pytest.approx(list(MUTED), abs=0.3)
    minutes = [e.minute for e in events if isinstance(e, MinuteWatched)]
    assert minutes == list(range(math.floor(stored_s / 60)))
    places_s = [said.at_s - started.vod_start_s for said in twitch.vods["77"].comments]
    told = Counter(math.floor(at_s) for at_s in places_s if 0.0 <= at_s < ended.media_s)
    windows = [e for e in events if isinstance(e, ChatWindow)]
    assert {int(w.media_s): w.lines for w in windows if w.lines} == dict(told)
    assert not [w for w in windows if w.gap]


async def test_a_vod_whose_chat_is_refused_is_imported_without_and_says_so(
    tmp_path: Path,
) -> None:
    twitch = double()
    twitch.comments_answer = {"errors": [{"message": "failed integrity check"}], "data": None}
    ran = await watched(tmp_path, twitch, "--from", "1m", "--to", "1m50s")
    assert ran.process.returncode == 0, ran.said
    (told,) = [n for n in ran.told("degraded") if n["reason"] == "chat_refused"]
    assert "TwitchDownloader" in told["detail"]
    assert {m["kind"] for m in moments_of(tmp_path / "out")} <= {"excitement", "lively"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--from", "2:00", "--to", "1:00"), "must lie behind"),
        (("--from", "9:00:00"), "0:02:40 long"),
        (("--from", "soon"), "1:00:00, 90:00, 3600 or 1h2m3s"),
    ],
)
async def test_a_part_that_cannot_be_says_why(
    tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    ran = await watched(tmp_path, double(), *more)
    assert ran.process.returncode == 1
    assert said in ran.said
