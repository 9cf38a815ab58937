"""A whole VOD, from its file to its source cuts, against FFmpeg that only decodes its sound.

`python -m bench.vod [--hours 2] [--video FILE] [--chat FILE]`
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from tests.paths import REPOSITORY, SHARED_DATA

WITHOUT = (
    *("--set", "senses.phrase.enabled=false"),
    *("--set", "render.layouts="),
)
"""No speech model, and no renders: those are measured by themselves."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(command: list[str], folder: Path) -> Spent:
    """Run a process to its end."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    began_s = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} failed: {process.returncode}")
    wall_s = time.monotonic() - began_s
    return Spent(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def looped(video: Path, hours: float, folder: Path) -> Path:
    """Return a file of so many hours, made of the video again and again."""
    path = folder / "looped.mp4"
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-stream_loop", "-1"),
            *("-i", str(video), "-t", str(hours * 3600), "-c", "copy", str(path)),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--video", type=Path, default=SHARED_DATA / "video/twitch_lol_1080p60.mp4")
    parser.add_argument("--chat", type=Path, default=SHARED_DATA / "chat/unlabelled-1.jsonl.gz")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clipthat-bench-") as name:
        folder = Path(name)
        video = looped(options.video.resolve(), options.hours, folder)
        ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
        plain = run([ffmpeg, "-v", "error", "-i", str(video), "-vn", "-f", "null", "-"], folder)
        chat = ["--chat", str(options.chat.resolve())] if options.chat.is_file() else []
        command = [sys.executable, "-m", "ops.cli", "vod", str(video), "--out", "out", "--json"]
        ours = run([*command, *chat, *WITHOUT], folder)
        clips = json.loads((folder / "out" / "clips.json").read_text())
    media_s = options.hours * 3600
    print(f"{options.hours:g} h of {re.sub(r'_', ' ', options.video.stem)}, {len(clips)} clips cut")
    print(f"{'':<26}{'× real time':>12}{'× a core':>10}{'CPU s':>8}{'peak MB':>9}")
    for title, spent in (("clipthat vod", ours), ("ffmpeg -vn -f null", plain)):
        print(
            f"{title:<26}{media_s / spent.wall_s:>12.0f}{media_s / spent.cpu_s:>10.0f}"
            f"{spent.cpu_s:>8.1f}{spent.peak_mb:>9.0f}"
        )
    print(f"CPU ratio {ours.cpu_s / plain.cpu_s:.1f}")


if __name__ == "__main__":
    main()
