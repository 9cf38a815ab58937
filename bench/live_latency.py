"""Measures how soon a clip of a running stream can be played, through the whole of `clipthat live`.

Run: .venv/bin/python -m bench.live_latency [--seconds 240] [--every 20] [--renders]

A 1080p60 stream is served live on loopback; viewers ask for a clip again and again. For each clip:
from the SegmentStored of the last segment that it needs to its ClipCut, by the times at which the
bus took them. Senses, detectors, ranking, window and cut are all in between. A clip needs the
media up to its end, and the media up to which its moments were decided: viewers who ask for a
clip speak of what lies behind them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import imageio_ffmpeg

from bus.events import ClipCut, ClipPlanned, MomentDetected, SegmentStored
from bus.local import LocalBus
from bus.ports import Record
from ops.demo.chat import ChatServer
from ops.demo.live_stream import OriginSegment, StreamShape
from ops.demo.origin import LiveOrigin
from ops.demo.script import Post
from tests.paths import REPOSITORY, SHARED_DATA

_QUIET_S = 1.0


def _segments(video: Path, folder: Path) -> list[OriginSegment]:
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video)),
            *("-c:v", "libx264", "-preset", "ultrafast", "-g", "120", "-b:v", "6400k"),
            *("-force_key_frames", "expr:gte(t,n_forced*2)", "-t", "20", "-c:a", "aac"),
            *("-f", "hls", "-hls_time", "2", "-hls_list_size", "0", str(folder / "out.m3u8")),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    paths = sorted(folder.glob("out*.ts"), key=lambda path: int(path.stem[3:]))
    return [OriginSegment(body=path.read_bytes(), duration_s=2.0) for path in paths]


def _chat(seconds: float, every_s: float) -> list[Post]:
    posts = [
        Post(at_s=float(at), user=f"viewer{at % 9}", text=f"line {at}")
        for at in range(0, int(seconds), 3)
    ]
    at_s = every_s
    while at_s < seconds:
        posts += [Post(at_s=at_s + n / 4, user=f"fan{n}", text="clip that") for n in range(4)]
        at_s += every_s
    return sorted(posts, key=lambda post: post.at_s)


async def _run(folder: Path, seconds: float, every_s: float, renders: bool) -> None:
    video = SHARED_DATA / "video" / "twitch_lol_1080p60.mp4"
    shape = StreamShape(listed_at_start=4, width=1920, height=1080)
    async with LiveOrigin(_segments(video, folder), shape=shape) as origin, ChatServer() as chat:
        assert origin.stream is not None
        talk = asyncio.create_task(chat.play(_chat(seconds, every_s), origin.stream.began_s))
        command = [
            *(sys.executable, "-m", "ops.cli", "live", origin.live_url, "--chat", chat.address),
            *("--for", str(seconds), "--out", str(folder / "out"), "--json"),
            *("--set", "fetch.allow_private=true", "--set", "clipper.live.cooldown_s=10"),
            *("--set", "clipper.live.clips_per_hour=1000"),
            *("--set", "detectors.clip_command.channel_cooldown_s=10"),
            *(() if renders else ("--set", "render.layouts=")),
        ]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        await process.wait()
        talk.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talk


async def _records(path: Path) -> list[Record]:
    records: list[Record] = []
    async with (
        LocalBus.open(path) as bus,
        bus.subscribe(f"bench-{uuid4()}", ("segments", "moments", "clips")) as subscription,
    ):
        while batch := await subscription.fetch(5000, _QUIET_S):
            records += batch
    return records


def latencies(records: Iterable[Record]) -> list[float]:
    """Return, for each cut clip, the seconds from its last segment to its source cut."""
    stored: list[tuple[float, float, float]] = []
    plans: dict[str, ClipPlanned] = {}
    decided: dict[str, float] = {}
    cuts: dict[str, float] = {}
    for record in records:
        match record.event:
            case SegmentStored() as segment:
                stored.append((segment.media_s, segment.end_s, record.published_at_s))
            case MomentDetected() as moment:
                decided[moment.event_id] = moment.decided_s
            case ClipPlanned() as plan:
                plans[plan.clip_id] = plan
            case ClipCut() as cut:
                cuts[cut.clip_id] = record.published_at_s
            case _:
                pass
    found = []
    for clip_id, plan in plans.items():
        needs_s = max(plan.end_s, *(decided[moment] for moment in plan.moment_ids))
        closes = [at_s for start_s, until_s, at_s in stored if start_s < needs_s <= until_s + 0.05]
        if closes and clip_id in cuts:
            found.append(cuts[clip_id] - closes[0])
    return found


def main() -> None:
    """Run a live watch and print how soon its clips were there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--every", type=float, default=20.0)
    parser.add_argument("--renders", action="store_true", help="render the clips at the same time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clipthat-bench-") as name:
        folder = Path(name)
        asyncio.run(_run(folder, options.seconds, options.every, options.renders))
        found = sorted(latencies(asyncio.run(_records(folder / "out" / ".clipthat" / "bus.db"))))
    if not found:
        raise SystemExit("no clip was cut")
    p95 = found[min(len(found) - 1, round(0.95 * (len(found) - 1)))]
    print(
        f"{len(found)} clips: p50 {statistics.median(found):.2f} s, p95 {p95:.2f} s, "
        f"max {found[-1]:.2f} s from the last needed segment to the playable source cut"
    )


if __name__ == "__main__":
    main()
