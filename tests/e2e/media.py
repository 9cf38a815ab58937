"""Videos, chats and the command line for end-to-end tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from tests.paths import REPOSITORY

COMMAND = (sys.executable, "-m", "ops.cli")

QUICK = (
    "--set",
    "senses.phrase.enabled=false",
    "--set",
    "render.preset=ultrafast",
    "--set",
    "render.vertical_width_px=270",
)
"""Settings that keep a test short and change nothing about what it checks."""

BURST_S = 60
"""Media second at which the made chat reacts."""


def ffmpeg(*arguments: str) -> None:
    """Run the bundled FFmpeg; raises CalledProcessError with its complaint."""
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def make_video(path: Path, seconds: float = 90, size: str = "320x180", *more: str) -> Path:
    """Make a moving picture with a tone that is loud around BURST_S."""
    loud = f"if(between(t,{BURST_S - 6},{BURST_S}),0.8,0.05)"
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=30:duration={seconds}"),
        *("-f", "lavfi", "-i", f"aevalsrc='{loud}*sin(440*2*PI*t)':s=48000:d={seconds}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-shortest", *more, str(path)),
    )
    return path


def make_chat(path: Path, seconds: int = 90, burst_s: int = BURST_S) -> Path:
    """Write a calm chat with a burst that asks for a clip."""
    lines = [
        {"t_s": t + 0.5, "user": f"viewer{t % 7}", "text": f"hello number {t}"}
        for t in range(0, seconds, 3)
    ]
    for n in range(40):
        text = ("OMG", "WOW LUL", "no way", "clip that")[n % 4]
        lines.append({"t_s": burst_s + n * 0.2, "user": f"fan{n}", "text": text})
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return path


def environment() -> dict[str, str]:
    """Return the process's environment without settings of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CLIPTHAT_")}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


def clipthat(
    *arguments: str, cwd: Path, timeout_s: float = 150
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def clips_of(folder: Path) -> list[dict[str, Any]]:
    """Return the clips that a folder lists; each named file is there."""
    clips: list[dict[str, Any]] = json.loads((folder / "clips.json").read_text())
    for clip in clips:
        for name in clip["files"].values():
            assert (folder / name).stat().st_size > 0
    return clips


def moments_of(folder: Path) -> list[dict[str, Any]]:
    """Return the moments that a folder lists."""
    return [json.loads(line) for line in (folder / "moments.jsonl").read_text().splitlines()]
