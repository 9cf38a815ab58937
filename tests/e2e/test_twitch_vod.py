"""`clipthat vod` on a Twitch VOD: a muted part, a dying token, chat from Twitch itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

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
