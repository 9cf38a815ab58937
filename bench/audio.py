"""Measures the processor time of the senses' sound against ffmpeg decoding the same segments.

Run: .venv/bin/python -m bench.audio [--minutes 10] [--source VIDEO]

The source is cut to transport stream segments and looped. Both sides read the same bytes from
memory-backed files: ffmpeg demuxes and decodes all sound (`-vn -f null -`); ours selects the
audio packets, decodes, resamples to 16 kHz, and measures loudness and voice in hops. The phrase
spotter has a process of its own and its own figures (`bench.phrase`).
"""

from __future__ import annotations

import argparse
import cProfile
import dataclasses
import pstats
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg

from detectors.ear import Ear, SegmentBytes
from detectors.settings import SensesSettings
from tests.detectors.media import Cut, cut_ts
from tests.paths import SHARED_DATA


def ours_cpu_s(rounds: list[list[Cut]]) -> float:
    """Hear all rounds; each is a discontinuity, as an origin that loops would tell."""
    ear = Ear(SensesSettings())
    began = time.process_time()
    for disc, cuts in enumerate(rounds):
        for cut in cuts:
            ear.hear(SegmentBytes(dataclasses.replace(cut.event, disc=disc), cut.body, None))
    return time.process_time() - began


def ffmpeg_cpu_s(stream: Path) -> float:
    """Return the user and system time that ffmpeg takes for the same sound."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [ffmpeg, "-v", "error", "-i", str(stream), "-vn", "-f", "null", "-"],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the figures of both sides and their ratio."""
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--profile", action="store_true")
    options.add_argument(
        "--source", type=Path, default=SHARED_DATA / "video" / "twitch_lol_1080p60.mp4"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cuts = cut_ts(chosen.source, folder / "cut")
        length_s = sum(cut.event.duration_s for cut in cuts)
        rounds = [cuts] * max(1, round(chosen.minutes * 60 / length_s))
        stream = folder / "all.ts"
        with stream.open("wb") as out:
            for each in rounds:
                out.writelines(cut.body for cut in each)
        media_s = length_s * len(rounds)
        pairs = []
        for _ in range(chosen.repeats):
            pairs.append((ours_cpu_s(rounds), ffmpeg_cpu_s(stream)))
    ours, theirs = (min(side) for side in zip(*pairs, strict=True))
    print(f"{media_s:.0f} s of media, {len(cuts) * len(rounds)} segments, best of {len(pairs)}")
    print(f"ours   {ours:6.2f} s  {media_s / ours:5.0f} x real time a core")
    print(f"ffmpeg {theirs:6.2f} s  {media_s / theirs:5.0f} x real time a core")
    print(f"ratio  {ours / theirs:.2f}")
    if chosen.profile:
        with cProfile.Profile() as profile:
            ours_cpu_s(rounds)
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
