"""A live stream in, clips out while it runs; and the same moments from its recording."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.demo.live_stream import StreamShape
from ops.demo.origin import LiveOrigin
from tests.e2e.media import (
    COMMAND,
    QUICK,
    clips_of,
    environment,
    moments_of,
)
from tests.hls_media import ts_segments

LIVE_S = 34
BURST_S = 16.0
LOOPBACK = ("--set", "fetch.allow_private=true")
SEGMENTS = 30


@dataclass(frozen=True)
class Watched:
    """A live watch and the watch of its recording."""

    live: subprocess.CompletedProcess[str]
    vod: subprocess.CompletedProcess[str]
    live_folder: Path
    vod_folder: Path
    live_end_s: float


def chat_lines(start_s: float) -> list[dict[str, Any]]:
    """Return calm chat with a burst, by the time at which each line is sent."""
    lines = [
        {"sent_ms": (start_s + t) * 1000, "t_s": t, "user": f"u{t % 5}", "text": f"talk {t}"}
        for t in range(0, LIVE_S, 3)
    ]
    lines += [
        {
            "sent_ms": (start_s + BURST_S + n * 0.15) * 1000,
            "t_s": BURST_S + n * 0.15,
            "user": f"fan{n}",
            "text": ("OMG", "clip that", "LUL wow", "no way")[n % 4],
        }
        for n in range(30)
    ]
    return sorted(lines, key=lambda line: line["sent_ms"])


async def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments, *QUICK, *LOOPBACK),
        cwd=folder,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 150)
    assert process.returncode is not None
    return subprocess.CompletedProcess(arguments, process.returncode, out.decode(), err.decode())


def recorded_chat(folder: Path) -> bytes:
    """Return the chat log that a watch has kept."""
    chunks = sorted((folder / ".clipthat" / "objects").rglob("chat-*.jsonl.gz"))
    assert chunks
    return b"".join(gzip.decompress(chunk.read_bytes()) for chunk in chunks)


async def watch_both(folder: Path) -> Watched:
    segments = ts_segments(seconds=SEGMENTS * 2, size="320x180")
    shape = StreamShape(window=SEGMENTS, listed_at_start=2)
    async with LiveOrigin(segments, shape=shape) as origin:
        assert origin.stream is not None
        lines = chat_lines(origin.stream.began_s)
        (folder / "chat.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        live = await command(
            folder,
            *("live", origin.live_url, "--chat", "chat.jsonl", "--for", str(LIVE_S)),
            *("--out", "live", "--json"),
        )
        (folder / "recorded.jsonl").write_bytes(recorded_chat(folder / "live"))
        vod = await command(
            folder,
            *("vod", origin.vod_url, "--chat", "recorded.jsonl", "--out", "vod", "--top", "3"),
            "--json",
        )
    summary = json.loads(live.stdout.splitlines()[-1])
    return Watched(live, vod, folder / "live", folder / "vod", summary["media_s"])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return asyncio.run(watch_both(tmp_path_factory.mktemp("live")))


def test_a_live_stream_gives_clips(watched: Watched) -> None:
    assert watched.live.returncode == 0, watched.live.stderr
    clips = clips_of(watched.live_folder)
    assert clips
    assert clips[0]["start_s"] < BURST_S
    assert set(clips[0]["files"]) >= {"source", "landscape", "vertical", "thumbnail"}


def test_the_draft_comes_while_the_stream_runs(watched: Watched) -> None:
    lines = [json.loads(line)["type"] for line in watched.live.stdout.splitlines()]
    assert lines.index("clipthat.clip.cut.v1") < lines.index("clipthat.render.finished.v1")


def test_the_recording_gives_the_same_moments(watched: Watched) -> None:
    assert watched.vod.returncode == 0, watched.vod.stderr

    def told(folder: Path) -> list[tuple[Any, ...]]:
        return [
            (moment["kind"], moment["start_s"], moment["peak_s"], moment["end_s"], moment["score"])
            for moment in moments_of(folder)
            if moment["decided_s"] < watched.live_end_s - 1
        ]

    assert told(watched.live_folder)
    assert told(watched.live_folder) == told(watched.vod_folder)


def test_an_origin_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "live", "http://127.0.0.1:9/live.m3u8", "--out", "o", *QUICK, *LOOPBACK],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_private_address_is_refused_without_leave(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "live", "http://127.0.0.1:9/live.m3u8", "--out", "o"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "fetch.allow_private" in done.stderr
