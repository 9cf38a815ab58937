"""Pull and store of N live channels: ours against `streamlink … -o /dev/null` processes.

    .venv/bin/python -m bench.pull --channels 8 --seconds 30

An origin in a process of its own serves one looped stream. First our puller with its ring (one
process, all channels), then one streamlink process a channel; CPU seconds and resident memory of
each are measured after a warm-up, and told a channel and as ratios. Our side publishes its events
on the local bus and keeps its ring on the disk; streamlink writes nowhere.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import psutil

WARM_UP_S = 15.0
"""Start-up is not what is compared: eight interpreters take a while on two cores."""


def make_segments(folder: Path, megabits: float) -> None:
    """Write a looped stream of two-second segments at about this bit rate."""
    rate = f"{megabits}M"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi",
        "-i", "testsrc2=size=1280x720:rate=30:duration=8", "-f", "lavfi",
        "-i", "sine=frequency=440:duration=8:sample_rate=48000",
        "-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-b:v", rate, "-minrate", rate,
        "-maxrate", rate, "-bufsize", rate, "-x264-params", "nal-hrd=cbr", "-c:a", "aac",
        "-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "out.m3u8",
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=folder, timeout=120)


async def serve(folder: Path) -> None:
    """Serve until the standard input closes; tells the address on standard output."""
    from ops.demo.live_stream import OriginSegment
    from ops.demo.origin import LiveOrigin

    bodies = [path.read_bytes() for path in sorted(folder.glob("*.ts"))]
    async with LiveOrigin([OriginSegment(body=b, duration_s=2.0) for b in bodies]) as origin:
        print(origin.live_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def pull(url: str, channels: int, seconds: float, folder: Path) -> None:
    """Watch all channels with our puller and ring; prints what it cost as JSON."""
    from bus.local import LocalBus
    from bus.stage import Ctx
    from ingest.hls_live import HlsLive
    from ingest.settings import IngestSettings
    from ingest.watch import Watch, WatchTarget
    from store.fetch import Fetcher
    from store.obstore_objects import open_objects
    from store.settings import FetchSettings

    stop = asyncio.Event()
    settings = IngestSettings(ring_s=30.0)
    objects = open_objects(folder.as_uri())
    async with (
        LocalBus.open(folder / "bus.db") as bus,
        Fetcher(FetchSettings(allow_private=True)) as fetcher,
        asyncio.TaskGroup() as group,
    ):
        for channel in range(channels):
            target = WatchTarget(tenant_id="bench", channel_id=f"c{channel}")
            source = HlsLive(f"{url}?c={channel}", fetcher, settings)
            watch = Watch(target, source, None, objects, settings, time.time, stop)
            group.create_task(watch.run(Ctx(bus=bus)))
        await asyncio.sleep(WARM_UP_S)
        me = psutil.Process()
        before = sum(me.cpu_times()[:2])
        await asyncio.sleep(seconds)
        spent = sum(me.cpu_times()[:2]) - before
        memory = me.memory_info().rss
        stop.set()
    print(json.dumps({"cpu_s": spent, "rss_bytes": memory}), flush=True)


def run_streamlink(url: str, channels: int, seconds: float) -> dict[str, float]:
    """Run one streamlink process a channel and measure them together."""
    command = [str(Path(sys.executable).with_name("streamlink")), "--quiet", "-o", "/dev/null"]
    command += ["--force", "--hls-live-edge", "8"]
    children = [
        subprocess.Popen([*command, f"hls://{url}?c={channel}", "best"], stdin=subprocess.DEVNULL)
        for channel in range(channels)
    ]
    try:
        time.sleep(WARM_UP_S)
        processes = [psutil.Process(child.pid) for child in children]
        before = sum(sum(process.cpu_times()[:2]) for process in processes)
        time.sleep(seconds)
        spent = sum(sum(process.cpu_times()[:2]) for process in processes) - before
        memory = float(sum(process.memory_info().rss for process in processes))
        if any(child.poll() is not None for child in children):
            raise SystemExit("a streamlink process ended early")
        return {"cpu_s": spent, "rss_bytes": memory}
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(timeout=10)


def measure(channels: int, seconds: float, megabits: float) -> None:
    """Run both sides against one origin and tell the ratios."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "media").mkdir()
        (folder / "ours").mkdir()
        make_segments(folder / "media", megabits)
        me = [sys.executable, __file__]
        origin = stack.enter_context(
            subprocess.Popen(
                [*me, "--serve", str(folder / "media")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert origin.stdout is not None
        url = origin.stdout.readline().strip()
        to_folder = ("--folder", str(folder / "ours"))
        ours_run = subprocess.run(
            [
                *me,
                "--pull",
                url,
                "--channels",
                str(channels),
                "--seconds",
                str(seconds),
                *to_folder,
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=seconds + 120,
        )
        ours = json.loads(ours_run.stdout.splitlines()[-1])
        theirs = run_streamlink(url, channels, seconds)
        origin.terminate()
    tell(ours, theirs, channels, seconds)


def tell(ours: dict[str, float], theirs: dict[str, float], channels: int, seconds: float) -> None:
    """Print the table."""
    for name, cost in (("clipthat", ours), ("streamlink", theirs)):
        cpu = 100 * cost["cpu_s"] / seconds / channels
        memory = cost["rss_bytes"] / channels / 2**20
        print(f"{name:10} {cpu:6.2f} % of a core a channel {memory:7.1f} MiB a channel")
    print(
        f"ratio      cpu {ours['cpu_s'] / theirs['cpu_s']:.2f}, "
        f"memory {ours['rss_bytes'] / theirs['rss_bytes']:.3f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and do one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--megabits", type=float, default=6.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pull", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.serve:
        asyncio.run(serve(chosen.serve))
    elif chosen.pull:
        asyncio.run(pull(chosen.pull, chosen.channels, chosen.seconds, chosen.folder))
    else:
        measure(chosen.channels, chosen.seconds, chosen.megabits)


if __name__ == "__main__":
    main()
