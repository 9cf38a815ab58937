"""Makes the stream of the demo: real H.264 and AAC in MPEG-TS, kept in a folder for next time."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from ops.demo import face, picture, script, sound, voice
from ops.demo.live_stream import OriginSegment
from ops.demo.picture import HEIGHT, WIDTH, Picture
from ops.demo.script import DURATION_S, FPS, SEGMENT_S
from ops.demo.sound import RATE_HZ
from ops.demo.voice import Voice
from ops.errors import OpsError

_ENCODE_MAX_S = 300.0
_MADE_OF = (face, picture, script, sound, voice)
"""A change in one of these makes another stream."""


@dataclass(frozen=True, slots=True)
class DemoStream:
    """A stream that has been made."""

    folder: Path
    segments: tuple[tuple[Path, float], ...]
    """Each segment's file and length in seconds."""

    @property
    def words(self) -> Path:
        """What is said in the stream: an .srt file."""
        return self.folder / "words.srt"

    @property
    def duration_s(self) -> float:
        """Length of the whole stream."""
        return sum(duration_s for _, duration_s in self.segments)

    def loop(self) -> list[OriginSegment]:
        """Return the segments with their bytes, for `LiveOrigin`."""
        return [
            OriginSegment(body=path.read_bytes(), duration_s=duration_s)
            for path, duration_s in self.segments
        ]


def make_stream(folder: Path, duration_s: float = DURATION_S) -> DemoStream:
    """Return the demo's stream, made if it is not in `folder` yet.

    Args:
        folder: where streams are kept; it is made when it is missing.
        duration_s: only so much of the script.

    Raises:
        OpsError: the voice or the encoder is missing or fails.
    """
    made = folder / f"stream-{_digest(duration_s)}"
    if not (made / "index.m3u8").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as work:
            _make(Path(work), duration_s)
            shutil.rmtree(made, ignore_errors=True)
            (Path(work) / "out").replace(made)
    return DemoStream(made, _listed(made))


def _make(work: Path, duration_s: float) -> None:
    speaker = Voice()
    speech = sound.spoken(speaker)
    samples = sound.mixed(speech)[: int(duration_s * RATE_HZ)]
    with wave.open(str(work / "sound.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    (work / "out").mkdir()
    (work / "out" / "words.srt").write_text(sound.subtitles(speaker), encoding="utf-8")
    drawings = Picture()
    mouths = sound.mouth(speech)
    with (
        (work / "ffmpeg.log").open("w+b") as log,
        subprocess.Popen(_command(work), stdin=subprocess.PIPE, stderr=log) as encoder,
    ):
        assert encoder.stdin is not None
        try:
            for number in range(int(duration_s * FPS)):
                encoder.stdin.write(drawings.frame(number, float(mouths[number])))
            encoder.stdin.close()
            code = encoder.wait(_ENCODE_MAX_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            encoder.kill()
            code = -1
        if code != 0:
            log.seek(0)
            said = log.read()[-500:].decode("utf-8", "replace").strip()
            raise OpsError(f"the demo's stream could not be encoded: {said}")


def _command(work: Path) -> list[str]:
    group = str(int(SEGMENT_S * FPS))
    return [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-hide_banner", "-loglevel", "error", "-nostdin"),
        *("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS)),
        *("-color_range", "tv", "-colorspace", "bt709", "-i", "pipe:0"),
        *("-i", str(work / "sound.wav")),
        *("-c:v", "libx264", "-preset", "superfast", "-crf", "23", "-bf", "0"),
        *("-g", group, "-keyint_min", group, "-sc_threshold", "0"),
        *("-color_primaries", "bt709", "-color_trc", "bt709"),
        *("-c:a", "aac", "-b:a", "128k", "-shortest"),
        *("-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_playlist_type", "vod"),
        *("-hls_segment_filename", str(work / "out" / "%05d.ts")),
        str(work / "out" / "index.m3u8"),
    ]


def _listed(made: Path) -> tuple[tuple[Path, float], ...]:
    lines = (made / "index.m3u8").read_text().splitlines()
    durations = [float(line[8:].rstrip(",")) for line in lines if line.startswith("#EXTINF:")]
    names = [line for line in lines if line and not line.startswith("#")]
    return tuple(
        (made / name, duration_s) for name, duration_s in zip(names, durations, strict=True)
    )


def _digest(duration_s: float) -> str:
    """Return a name that changes when the stream would."""
    digest = hashlib.blake2s(f"{duration_s}".encode(), digest_size=6)
    for module in _MADE_OF:
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()
