"""Recordings and addresses that go wrong: a clear message, and the same command goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ops.demo.live_stream import Asked, Reply
from ops.demo.origin import LiveOrigin
from tests.e2e.bad_stream import AD_S, with_ad
from tests.e2e.media import COMMAND, QUICK, clips_of, clipthat, environment, make_chat, make_video
from tests.e2e.process import Running, run, running
from tests.hls_media import ts_segments

STOP_LIMIT_S = 15.0
PLAYLIST_BYTES_MAX = 20_000
Spoil = Callable[[Asked, Reply, float], Reply | None]


# --- addresses that give no stream -----------------------------------------------------------


def always(**changes: object) -> Spoil:
    def spoil(asked: Asked, reply: Reply, now_s: float) -> Reply | None:
        return replace(reply, **changes) if asked.kind != "segment" else reply  # type: ignore[arg-type]

    return spoil


def nothing(asked: Asked, reply: Reply, now_s: float) -> Reply | None:
    return None


ADDRESSES: dict[str, tuple[Spoil, str]] = {
    "404": (always(status=404), "404"),
    "500": (always(status=500), "500"),
    "HTML": (always(body=b"<html>502 Bad Gateway</html>"), "playlist"),
    "empty": (always(body=b""), "playlist"),
    "oversized": (always(body=b"#EXTM3U\n" + b"#" * 30_000), "too large"),
    "dropped": (nothing, "127.0.0.1"),
}


async def told(folder: Path, kind: str, spoil: Spoil) -> Running:
    async with LiveOrigin(ts_segments(), spoil=spoil) as origin:
        address = origin.live_url if kind == "live" else origin.vod_url
        limits = (
            *("--set", f"ingest.playlist_bytes_max={PLAYLIST_BYTES_MAX}"),
            *("--set", "ingest.segment_retries_s=0.05"),
        )
        return await run(folder, kind, address, "--out", "out", *limits)


ASKED = [*(("live", name) for name in ADDRESSES), ("vod", "HTML"), ("vod", "dropped")]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Running]:
    """What the commands say to each address, asked side by side."""

    async def ask() -> list[Running]:
        turns = asyncio.Semaphore(3)

        async def one(kind: str, name: str) -> Running:
            async with turns:
                return await told(tmp_path_factory.mktemp("address"), kind, ADDRESSES[name][0])

        asked: list[Awaitable[Running]] = [one(kind, name) for kind, name in ASKED]
        return await asyncio.gather(*asked)

    return dict(zip(ASKED, asyncio.run(ask()), strict=True))


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_an_address_that_gives_no_stream_is_told_so(
    answers: dict[tuple[str, str], Running], kind: str, name: str
) -> None:
    answer = answers[kind, name]
    assert answer.process.returncode == 1
    assert ADDRESSES[name][1] in answer.said
    assert "Traceback" not in answer.said
    assert answer.told("session.started") == []


# --- a VOD over HTTP -------------------------------------------------------------------------

CUT, GONE, PAGE = 24, 26, 28


@dataclass
class BadVod:
    """A VOD with an ad, spoiled segments and an origin that goes away in its midst."""

    away_asks: int
    """How often it does not answer."""

    def __call__(self, asked: Asked, reply: Reply, now_s: float) -> Reply | None:
        if asked.kind == "vod":
            return replace(reply, body=with_ad(reply.body.decode()).encode())
        if asked.kind != "segment":
            return reply
        if asked.number == 20 and self.away_asks:
            self.away_asks -= 1
            return None
        match asked.number:
            case _ if asked.number == CUT:
                return replace(reply, cut=1000)
            case _ if asked.number == GONE:
                return replace(reply, status=404)
            case _ if asked.number == PAGE:
                return replace(reply, body=b"<html>please log in</html>")
        return reply


async def watch_vod(folder: Path) -> tuple[Running, Running]:
    """Watch while the origin stays away, then again when it is back."""
    make_chat(folder / "chat.jsonl", seconds=120, burst_s=int(AD_S[1]) + 2)
    segments = ts_segments(seconds=20, size="320x180") * 6
    settings = (
        *("--set", "ingest.segment_retries_s=0.05,0.1", "--set", "ingest.backoff_first_s=0.1"),
        *("--set", "ingest.vod_outage_s=1", "--top", "2", "--chat", "chat.jsonl", "--out", "out"),
    )
    spoil = BadVod(away_asks=1000)
    async with LiveOrigin(segments, spoil=spoil) as origin:
        first = await run(folder, "vod", origin.vod_url, *settings)
        # Back, but not at the first try.
        spoil.away_asks = 2
        second = await run(folder, "vod", origin.vod_url, *settings)
    return first, second


@pytest.fixture(scope="module")
def vod_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vod")


@pytest.fixture(scope="module")
def vod_runs(vod_folder: Path) -> tuple[Running, Running]:
    return asyncio.run(watch_vod(vod_folder))


def test_an_origin_that_stays_away_is_told_and_the_vod_goes_on_later(
    vod_runs: tuple[Running, Running],
) -> None:
    first, second = vod_runs
    assert first.process.returncode == 1
    assert "away" in first.said
    assert "Traceback" not in first.said
    assert second.process.returncode == 0, second.said
    (before,), (after,) = first.told("session.started"), second.told("session.started")
    assert before["session_id"] == after["session_id"]


def test_no_clip_of_a_vod_holds_an_ad_or_a_gap(
    vod_runs: tuple[Running, Running], vod_folder: Path
) -> None:
    spoiled = [(at * 2.0, at * 2.0 + 2.0) for at in (CUT, GONE, PAGE)]
    clips = clips_of(vod_folder / "out")
    edges = [abs(clip["end_s"] - AD_S[0]) for clip in clips]
    edges += [abs(clip["start_s"] - AD_S[1]) for clip in clips]
    assert min(edges) < 0.1, "a clip would reach into the ad"
    for clip in clips:
        assert clip["gap_s"] == 0
        for start_s, end_s in (AD_S, *spoiled):
            assert min(clip["end_s"], end_s) - max(clip["start_s"], start_s) < 0.05


# --- disks, folders and signals --------------------------------------------------------------


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    make_video(folder / "video.mp4", 70)
    make_chat(folder / "chat.jsonl", 70, burst_s=50)
    return folder


VOD = ("vod", "video.mp4", "--chat", "chat.jsonl", "--top", "1", *QUICK)


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a disk of its own; skips where that is not allowed."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here; it takes root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("size", ["300k", "2400k"])
def test_a_full_disk_is_told_and_the_same_command_goes_on_when_there_is_space(
    recording: Path, tmp_path: Path, size: str
) -> None:
    with small_disk(tmp_path / "disk", size) as disk:
        command = (*VOD, "--out", str(disk / "out"))
        full = clipthat(*command, cwd=recording, timeout_s=100)
        assert full.returncode == 1, full.stdout
        assert "no space" in full.stderr
        assert "Traceback" not in full.stderr
        if (disk / "out" / "clips.json").exists():
            clips_of(disk / "out")
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        done = clipthat(*command, cwd=recording)
        assert done.returncode == 0, done.stderr
        (clip,) = clips_of(disk / "out")
        assert set(clip["files"]) >= {"source", "landscape", "vertical", "thumbnail"}
        assert not list((disk / "out" / "clips").rglob(".*"))


def test_a_full_folder_for_unfinished_files_loses_no_clip(recording: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "200k") as disk:
        command = [*COMMAND, *VOD, "--out", str(tmp_path / "out")]
        where = environment() | {"TMPDIR": str(disk)}
        full = subprocess.run(
            command, cwd=recording, env=where, capture_output=True, text=True, timeout=100
        )
        assert full.returncode == 1, full.stdout + full.stderr
        assert "no space" in full.stderr
    done = clipthat(*VOD, "--out", str(tmp_path / "out"), cwd=recording)
    assert done.returncode == 0, done.stderr
    (clip,) = clips_of(tmp_path / "out")
    assert "vertical" in clip["files"]


def test_a_limit_on_the_size_of_files_is_told_like_a_full_disk(
    recording: Path, tmp_path: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))

    command = [*COMMAND, *VOD, "--out", str(tmp_path / "out")]
    full = subprocess.run(
        command,
        cwd=recording,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        preexec_fn=limit,
    )
    assert full.returncode == 1, full.stdout + full.stderr
    assert "space" in full.stderr, "a limit is named as space, or its disk is to be looked at"
    assert "Traceback" not in full.stderr


def test_a_folder_that_cannot_be_written(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = clipthat(*VOD, "--out", str(tmp_path / "file"), cwd=recording)
    assert done.returncode == 1
    assert "file cannot be written" in done.stderr.replace("\n", "")


def test_a_read_only_disk(recording: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = clipthat(*VOD, "--out", str(disk / "out"), cwd=recording)
        assert done.returncode == 1
        assert "cannot be written" in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr


def test_a_damaged_log_is_told(recording: Path, tmp_path: Path) -> None:
    state = tmp_path / "out" / ".clipthat"
    state.mkdir(parents=True)
    (state / "bus.db").write_bytes(b"no database at all" * 1000)
    done = clipthat(*VOD, "--out", str(tmp_path / "out"), cwd=recording)
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_stopping_while_it_renders_takes_little_time_and_loses_nothing(
    recording: Path, tmp_path: Path
) -> None:
    async def stop() -> Running:
        arguments = (*VOD, "--out", str(tmp_path / "out"))
        async with running(recording, *arguments) as command:
            assert await command.until_type("clip.cut")
            command.send(signal.SIGTERM)
            await command.ended(STOP_LIMIT_S)
            with pytest.raises(ProcessLookupError):
                os.killpg(command.process.pid, 0)
        return command

    stopped = asyncio.run(stop())
    assert stopped.process.returncode == 130, stopped.said
    assert stopped.lines[-1]["complete"] is False
    done = clipthat(*VOD, "--out", str(tmp_path / "out"), "--json", cwd=recording)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["complete"] is True
    (clip,) = clips_of(tmp_path / "out")
    assert "vertical" in clip["files"]
