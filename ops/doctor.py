"""Says what is installed, what is missing and what to do about it.

Law: a look changes nothing, and each finding that is not fine names its remedy.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import imageio_ffmpeg

from ops.settings import LoadedSettings
from store.twitch.settings import TwitchSettings

Status = Literal["ok", "optional", "problem"]

PROBE_TIMEOUT_S = 20.0
FREE_BYTES_MIN = 2 * 1024**3

WHEELS = (
    "aiohttp",
    "apsw",
    "av",
    "cryptography",
    "fastapi",
    "numpy",
    "obstore",
    "pillow",
    "pocketsphinx",
    "resvg-py",
    "sqlalchemy",
    "streamlink",
    "twitchio",
    "webrtcvad-wheels",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def examine(loaded: LoadedSettings) -> list[Finding]:
    """Look at everything and return what was found, problems included."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _libraries,
        _ffmpeg,
        _gpu,
        _phrase_spotter,
        _fonts,
        _demo_voice,
        lambda: _folder(loaded.settings.data_dir),
        lambda: _port(loaded.settings.web.host, loaded.settings.web.port),
        lambda: _twitch(loaded.settings.twitch),
        lambda: _origins(loaded),
    )
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    fine = sys.version_info >= (3, 11)
    yield Finding(
        "Python", "ok" if fine else "problem", version, "" if fine else "install Python 3.11+"
    )
    yield Finding("SQLite", "ok", sqlite3.sqlite_version)


def _libraries() -> Iterator[Finding]:
    for name in WHEELS:
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "problem", "not installed", "run `make setup`")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _encode_probe(ffmpeg: str, encoder: str) -> str:
    """Encode one frame; return an empty string, or the last line of the complaint."""
    probe = _run(
        *(ffmpeg, "-v", "error", "-f", "lavfi", "-i", "color=s=256x256:d=0.1", "-frames:v", "1"),
        *("-pix_fmt", "yuv420p", "-c:v", encoder, "-f", "null", "-"),
    )
    if probe.returncode == 0:
        return ""
    return (probe.stderr.strip().splitlines() or ["it says nothing"])[0]


def _ffmpeg() -> Iterator[Finding]:
    try:
        path = imageio_ffmpeg.get_ffmpeg_exe()
        version = _run(path, "-version").stdout.split("\n", 1)[0]
        complaint = _encode_probe(path, "libx264")
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        yield Finding("FFmpeg", "problem", str(error), "run `make setup`; it comes in a wheel")
        return
    yield Finding("FFmpeg", "ok", version)
    yield Finding(
        "H.264 encoder",
        "problem" if complaint else "ok",
        complaint or "libx264 encodes",
        "reinstall imageio-ffmpeg" if complaint else "",
    )


def _gpu() -> Iterator[Finding]:
    try:
        complaint = _encode_probe(imageio_ffmpeg.get_ffmpeg_exe(), "h264_nvenc")
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        complaint = str(error)
    yield Finding(
        "NVENC",
        "optional" if complaint else "ok",
        complaint or "a GPU encodes",
        "not needed: clips are encoded on the CPU" if complaint else "",
    )


def _phrase_spotter() -> Iterator[Finding]:
    spec = importlib.util.find_spec("pocketsphinx")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    model = folder / "model" / "en-us" if folder is not None else None
    there = model is not None and model.is_dir()
    yield Finding(
        "phrase spotter",
        "ok" if there else "problem",
        f"English model {model}" if there else "no model",
        "" if there else "reinstall pocketsphinx, or set senses.phrase.enabled = false",
    )


def _fonts() -> Iterator[Finding]:
    there = importlib.util.find_spec("font_roboto") is not None
    yield Finding(
        "caption font",
        "ok" if there else "problem",
        "Roboto" if there else "missing",
        "" if there else "run `make setup`",
    )


def _demo_voice() -> Iterator[Finding]:
    there = importlib.util.find_spec("espeakng_loader") is not None
    yield Finding(
        "demo voice",
        "ok" if there else "optional",
        "eSpeak NG" if there else "not installed",
        "" if there else "only `clipthat demo` needs it: run `make setup`",
    )


def _folder(folder: Path) -> Iterator[Finding]:
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    low = free < FREE_BYTES_MIN
    yield Finding(
        "disk",
        "problem" if low else "ok",
        f"{free / 1024**3:.1f} GiB free for {folder}",
        "free some space, or set data_dir to another disk" if low else "",
    )


def _port(host: str, port: int) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            yield Finding(
                "web port", "optional", f"{host}:{port}: {error.strerror}", "set web.port"
            )
            return
    yield Finding("web port", "ok", f"{host}:{port} is free")


def _twitch(settings: TwitchSettings) -> Iterator[Finding]:
    if settings.client_id and settings.client_secret:
        yield Finding("Twitch app", "ok", "client id and secret are set: accounts can be connected")
        return
    missing = [
        f"twitch.{name}" for name in ("client_id", "client_secret") if not getattr(settings, name)
    ]
    yield Finding(
        "Twitch app",
        "optional",
        f"{' and '.join(missing)} not set: channels are watched without an account",
        "register an app at https://dev.twitch.tv/console to connect accounts",
    )


def _origins(loaded: LoadedSettings) -> Iterator[Finding]:
    if not loaded.origins:
        yield Finding("settings", "ok", "all defaults")
    for name, origin in sorted(loaded.origins.items()):
        yield Finding(f"setting {name}", "ok", f"from {origin}")
