"""Real media for the senses: segments cut by ffmpeg, tones at known times, a spoken phrase."""

from __future__ import annotations

import ctypes
import io
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bus.events import SegmentStored
from detectors.decode import PTS_WRAP_S, first_pts_s, wrapped_difference

RATE_HZ = 48_000
TENANT, CHANNEL, SESSION = "t1", "c1", "s1"


@dataclass(frozen=True)
class Cut:
    """A segment's event and bytes."""

    event: SegmentStored
    body: bytes
    init: bytes | None = None


def run_ffmpeg(*arguments: str) -> None:
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments],
        check=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def write_wav(path: Path, samples: NDArray[np.int16], rate_hz: int = RATE_HZ) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(samples.tobytes())
    return path


def beeps(duration_s: float, starts_s: list[float], length_s: float = 0.2) -> NDArray[np.int16]:
    """Faint noise with 1 kHz beeps at the given times."""
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sound = np.random.default_rng(7).normal(0, 30, len(t))
    for start_s in starts_s:
        inside = (t >= start_s) & (t < start_s + length_s)
        sound[inside] += 12_000 * np.sin(2 * np.pi * 1000 * t[inside])
    return sound.astype(np.int16)


def hls_from_wav(
    wav: Path, folder: Path, *, segment_s: float = 2.0, offset_s: float = 0.0, fmp4: bool = False
) -> list[Cut]:
    """Encode a test picture and the sound to HLS segments as an origin would cut them."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "m4s" if fmp4 else "ts"
    kind = ["-hls_segment_type", "fmp4"] if fmp4 else []
    with wave.open(str(wav)) as sound:
        picture = f"testsrc2=size=128x72:rate=25:duration={sound.getnframes() / RATE_HZ}"
    run_ffmpeg(
        *("-f", "lavfi", "-i", picture, "-i", str(wav)),
        *("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-keyint_min", "25"),
        *("-sc_threshold", "0", "-bf", "0", "-c:a", "aac", "-b:a", "96k"),
        *("-output_ts_offset", str(offset_s), "-muxdelay", "0", "-muxpreload", "0"),
        *("-f", "hls", "-hls_time", str(segment_s), "-hls_list_size", "0", *kind),
        *("-hls_segment_filename", str(folder / f"%05d.{suffix}"), str(folder / "list.m3u8")),
    )
    return read_hls(folder, "fmp4" if fmp4 else "ts")


def cut_ts(source: Path, folder: Path, *, segment_s: float = 2.0) -> list[Cut]:
    """Cut a file into transport stream segments without encoding it again."""
    folder.mkdir(parents=True, exist_ok=True)
    run_ffmpeg(
        *("-i", str(source), "-c", "copy", "-f", "hls", "-hls_time", str(segment_s)),
        *("-hls_list_size", "0", "-hls_segment_filename", str(folder / "%05d.ts")),
        str(folder / "list.m3u8"),
    )
    return read_hls(folder, "ts")


def read_hls(folder: Path, container: str) -> list[Cut]:
    """Make the events that ingest would make: media time from timestamps, wraps unwrapped."""
    durations = [
        float(line.removeprefix("#EXTINF:").rstrip(","))
        for line in (folder / "list.m3u8").read_text().splitlines()
        if line.startswith("#EXTINF:")
    ]
    init = (folder / "init.mp4").read_bytes() if container == "fmp4" else None
    paths = sorted(folder.glob("*.m4s" if init else "*.ts"))
    cuts: list[Cut] = []
    zero_s: float | None = None
    for seq, (path, duration_s) in enumerate(zip(paths, durations, strict=True)):
        body = path.read_bytes()
        pts_s = first_pts_s((init or b"") + body, container) % PTS_WRAP_S
        zero_s = pts_s if zero_s is None else zero_s
        media_s = wrapped_difference(pts_s, zero_s)
        event = SegmentStored(
            tenant_id=TENANT,
            channel_id=CHANNEL,
            session_id=SESSION,
            epoch=0,
            seq=seq,
            disc=0,
            media_s=round(media_s, 6),
            duration_s=duration_s,
            pts_s=zero_s + media_s,
            container="fmp4" if init else "ts",
            object_key=f"tenant/{TENANT}/ring/{SESSION}/0-{seq:09d}.{'m4s' if init else 'ts'}",
            init_key="init" if init else None,
        )
        cuts.append(Cut(event, body, init))
    return cuts


class Voice:
    """espeak-ng, which says sentences."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self._rate_hz = self._lib.espeak_Initialize(2, 0, data, 0)
        self._parts: list[NDArray[np.int16]] = []
        samples = ctypes.POINTER(ctypes.c_short)
        self._callback = ctypes.CFUNCTYPE(ctypes.c_int, samples, ctypes.c_int, ctypes.c_void_p)(
            self._keep
        )
        self._lib.espeak_SetSynthCallback(self._callback)

    def _keep(self, samples: object, count: int, _events: object) -> int:
        if count > 0 and samples:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())  # type: ignore[call-overload]
        return 0

    def say(self, text: str, rate_hz: int = RATE_HZ, *, speed: int = 150) -> NDArray[np.int16]:
        """Return the sentence as mono s16."""
        self._parts.clear()
        self._lib.espeak_SetVoiceByName(b"en-us")
        self._lib.espeak_SetParameter(1, speed, 0)
        octets = text.encode()
        self._lib.espeak_Synth(octets, len(octets) + 1, 0, 0, 0, 1, None, None)
        self._lib.espeak_Synchronize()
        said = np.concatenate(self._parts)
        count = int(len(said) * rate_hz / self._rate_hz)
        at = np.arange(count) * self._rate_hz / rate_hz
        return np.interp(at, np.arange(len(said)), said).astype(np.int16)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(jpeg)) as image:
        return image.size
