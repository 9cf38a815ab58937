"""Joins stretches that differ by encoding them, in a child process.

Law: exact to the picture; sizes that differ are fitted into the one that lasts longest, with bars.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg

from clipper.errors import CutFailed
from clipper.mux import write_copy
from clipper.settings import CutSettings
from clipper.splice import Stretch
from store.errors import StorageFull

_EARLY_S = 0.0005
_ERROR_BYTES = 2000


def size_of(stretches: Sequence[Stretch]) -> tuple[int, int]:
    """Return the picture size that lasts longest, even in both directions; zero without one."""
    lasting: Counter[tuple[int, int]] = Counter()
    for each in stretches:
        if each.part.video is not None:
            millis = round((each.chosen.out_s - each.chosen.in_s) * 1000)
            lasting[each.part.video.width, each.part.video.height] += millis
    if not lasting:
        return 0, 0
    width, height = lasting.most_common(1)[0][0]
    return width // 2 * 2, height // 2 * 2


def write_encoded(stretches: Sequence[Stretch], path: Path, settings: CutSettings) -> None:
    """Encode the exact clip into one MP4 whose zero is the clip's start.

    Raises:
        CutFailed: `undecodable` with the encoder's last words, `timeout` after the limit.
        StorageFull: no space is left for the file.
    """
    inputs: list[Path] = []
    for number, stretch in enumerate(stretches):
        piece = path.with_name(f"{path.stem}-{number}.mkv")
        alone = Stretch(stretch.part, stretch.chosen, 0.0)
        write_copy([alone], piece, container="matroska")
        inputs.append(piece)
    try:
        _run(_command(stretches, inputs, path, settings), settings.encode_timeout_s)
    finally:
        for piece in inputs:
            piece.unlink(missing_ok=True)


def _run(command: Sequence[str], timeout_s: float) -> None:
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _, errors = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as expired:
        raise CutFailed("timeout", f"encoding took longer than {timeout_s:.0f} s") from expired
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        child.wait()
    if child.returncode != 0:
        words = errors[-_ERROR_BYTES:].decode("utf-8", "replace").strip()
        if os.strerror(errno.ENOSPC) in words:
            raise StorageFull(f"no space is left for a cut; free some and run again: {words}")
        raise CutFailed("undecodable", f"the media cannot be decoded: {words}")


def _command(
    stretches: Sequence[Stretch], inputs: Sequence[Path], path: Path, settings: CutSettings
) -> list[str]:
    has_video = any(each.part.video is not None for each in stretches)
    has_audio = any(each.part.audio is not None for each in stretches)
    files = [word for each in inputs for word in ("-i", f"file:{each}")]
    graph, outputs = _graph(stretches, has_video=has_video, has_audio=has_audio)
    picture = [
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", str(settings.encode_crf)),
        *("-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-enc_time_base", "1:90000"),
        *("-g", "120"),
    ]
    return [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-nostdin", "-hide_banner", "-loglevel", "error", "-y", *files),
        *("-filter_complex", graph),
        *(word for name in outputs for word in ("-map", name)),
        *(picture if has_video else ()),
        *(("-c:a", "aac", "-b:a", "192k", "-ar", "48000") if has_audio else ()),
        *("-movflags", "+faststart", "-f", "mp4", f"file:{path}"),
    ]


def _graph(
    stretches: Sequence[Stretch], *, has_video: bool, has_audio: bool
) -> tuple[str, list[str]]:
    width, height = size_of(stretches)
    steps, joined = [], ""
    for number, stretch in enumerate(stretches):
        in_s = stretch.chosen.in_s - stretch.chosen.zero_s
        duration_s = stretch.chosen.out_s - stretch.chosen.in_s
        span = f"start={max(0.0, in_s - _EARLY_S):.6f}:end={in_s + duration_s - _EARLY_S:.6f}"
        if has_video:
            steps.append(
                f"[{number}:v:0]trim={span},setpts=PTS-STARTPTS,"
                f"scale={width}:{height}:force_original_aspect_ratio=decrease:reset_sar=1,"
                f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2,setsar=1,format=yuv420p[v{number}]"
            )
            joined += f"[v{number}]"
        if has_audio:
            sound = (
                f"[{number}:a:0]atrim={span},asetpts=PTS-{in_s:.6f}/TB,"
                if stretch.part.audio is not None
                else "anullsrc=r=48000:cl=stereo,"
            )
            steps.append(
                f"{sound}aresample=48000:async=1:first_pts=0,"
                "aformat=sample_fmts=fltp:channel_layouts=stereo,"
                f"apad=whole_dur={duration_s:.6f},atrim=end={duration_s:.6f}[a{number}]"
            )
            joined += f"[a{number}]"
    outputs = [*(["[v]"] if has_video else []), *(["[a]"] if has_audio else [])]
    steps.append(
        f"{joined}concat=n={len(stretches)}:v={int(has_video)}:a={int(has_audio)}{''.join(outputs)}"
    )
    return ";".join(steps), outputs
