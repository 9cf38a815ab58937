"""Measures how soon a live clip can be played.

Run: .venv/bin/python -m bench.cut_latency [--clips 20] [--size 1920x1080] [--fps 60]

From the SegmentStored of the last segment that a clip needs to its ClipCut on the bus: the local
bus, the ring in a folder, 1080p60 at 6.4 Mbit/s in segments of two seconds. The senses and
detectors are left out (their events follow the segment's at once), so this is the clipper's share.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg

from bus.events import ClipCut, Event
from bus.local import LocalBus
from bus.stage import Ctx
from clipper.settings import ClipperSettings
from clipper.stage import Clipper
from store.fetch import Fetcher
from store.obstore_objects import open_objects
from store.settings import FetchSettings
from tests.clipper.frame_counter import Slice, first_pts, stored
from tests.clipper.made import loudness, moment, settled, started

_LENGTH_S = 60
_PEAK_S = 40.0


def _stream(folder: Path, size: str, fps: int) -> list[Slice]:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-hide_banner", "-loglevel", "error", "-f", "lavfi"),
        *("-i", f"testsrc2=size={size}:rate={fps}", "-f", "lavfi", "-i", "sine=frequency=440"),
        *("-t", str(_LENGTH_S), "-c:v", "libx264", "-preset", "ultrafast", "-g", str(2 * fps)),
        *("-b:v", "6400k", "-minrate", "6400k", "-maxrate", "6400k", "-bufsize", "6400k"),
        *("-x264-params", "nal-hrd=cbr:scenecut=0", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0"),
        str(folder / "out.m3u8"),
    ]
    subprocess.run(command, check=True)
    paths = sorted(folder.glob("out*.ts"), key=lambda path: int(path.stem[3:]))
    return [Slice(path.read_bytes(), first_pts(path), 2.0) for path in paths]


async def _measure(slices: list[Slice], clips: int, folder: Path) -> list[float]:
    objects = open_objects(f"file://{folder}/objects")
    took_s = []
    async with (
        LocalBus.open(folder / "bus.db") as bus,
        Fetcher(FetchSettings()) as fetcher,
        bus.subscribe("bench", ["clips"]) as outcomes,
    ):
        ctx = Ctx(bus=bus)
        running = asyncio.create_task(Clipper(objects, fetcher, ClipperSettings()).run(ctx))
        for number in range(clips):
            name = f"session-{number}"
            told = stored(slices, session_id=name)
            for event, body in told:
                await objects.put(event.object_key or "", body)
            await bus.publish([_of(started(), name), _of(moment(_PEAK_S), name)])
            stored_at_s = 0.0
            cut: Event | None = None
            for event, _ in told:
                stored_at_s = time.perf_counter()
                await bus.publish([event, _of(loudness(event.seq), name)])
                await bus.publish([_of(settled(event.end_s), name)])
                wait_s = 0.3 if event.end_s < _PEAK_S + 4 else 1.0
                records = await outcomes.fetch(10, wait_s if event.end_s > _PEAK_S else 0.0)
                while records and cut is None:
                    cut = next((r.event for r in records if isinstance(r.event, ClipCut)), None)
                    records = [] if cut else await outcomes.fetch(10, 5.0)
                if cut is not None:
                    took_s.append(time.perf_counter() - stored_at_s)
                    break
        ctx.draining.set()
        await running
    return took_s


def _of(event: Event, session_id: str) -> Event:
    return replace(event, session_id=session_id, event_id="")


def main() -> None:
    """Print the median and the 95th percentile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--fps", type=int, default=60)
    options = parser.parse_args(sys.argv[1:])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slices = _stream(folder, options.size, options.fps)
        took_s = asyncio.run(_measure(slices, options.clips, folder))
    cuts = statistics.quantiles(took_s, n=20, method="inclusive")
    print(f"clips: {len(took_s)}; segment closed to ClipCut")
    p50_ms, p95_ms, max_ms = (1000 * each for each in (cuts[9], cuts[18], max(took_s)))
    print(f"p50 {p50_ms:.0f} ms, p95 {p95_ms:.0f} ms, max {max_ms:.0f} ms")


if __name__ == "__main__":
    main()
