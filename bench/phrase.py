"""Measures the phrase spotter: hits on spoken phrases, false alarms on an hour of read English.

Run: .venv/bin/python -m bench.phrase --threshold 1e-15 [--phrase "clip that"] [--skip-alarms]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from detectors.listener import Listener, check_phrases
from detectors.sound import RATE_HZ, Hit
from detectors.voice import VoicedStretches, VoiceGate
from tests.detectors.media import Voice
from tests.paths import SHARED_DATA

CARRIERS = (
    "oh my god. {}",
    "wait wait, {}, please",
    "that was insane, {}, right now",
    "chat, {}",
    "{}",
    "somebody {}. oh no",
    "dude no way. {}. yes",
)
SPEEDS = (130, 165, 200)
_STEP = 2 * RATE_HZ

Pcm = NDArray[np.int16]


def read_sound(path: Path) -> Pcm:
    """Decode a file to mono s16 at 16 kHz."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as media:
        parts = [
            part.to_ndarray()[0]
            for frame in media.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    return np.concatenate(parts)


def spot(listener: Listener, sound: Pcm, start_s: float) -> list[Hit]:
    """Hear a sound as the senses would: in segments of two seconds, voiced stretches only."""
    gate, stretches = VoiceGate(-50.0), VoicedStretches(0.4)
    hits: list[Hit] = []
    for at in range(0, len(sound), _STEP):
        _, frames = gate.feed(start_s + at / RATE_HZ, sound[at : at + _STEP])
        for piece in stretches.feed(frames):
            hits += listener.hear(piece)
    for piece in stretches.cut():
        hits += listener.hear(piece)
    return hits


def spoken(phrase: str) -> Iterator[Pcm]:
    """Say the phrase in several sentences and speeds, between half a second of faint noise."""
    voice = Voice()
    noise = np.random.default_rng(5)
    for carrier in CARRIERS:
        for speed in SPEEDS:
            said = voice.say(carrier.format(phrase), RATE_HZ, speed=speed).astype(np.int32)
            sound = noise.normal(0, 12, len(said) + RATE_HZ).astype(np.int32)
            sound[RATE_HZ // 2 : RATE_HZ // 2 + len(said)] += said
            yield np.clip(sound, -32768, 32767).astype(np.int16)


def recall(listener: Listener, sounds: Iterator[Pcm]) -> tuple[int, int]:
    """Return how many of the sounds give a hit, and how many there are."""
    found = count = 0
    for count, sound in enumerate(sounds, start=1):
        found += bool(spot(listener, sound, count * 1000.0))
    return found, count


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser()
    options.add_argument("--phrase", default="clip that")
    options.add_argument("--threshold", type=float, default=1e-15)
    options.add_argument("--skip-alarms", action="store_true")
    chosen = options.parse_args()
    check_phrases([chosen.phrase])
    listener = Listener([chosen.phrase], chosen.threshold)
    print(f"phrase {chosen.phrase!r}, threshold {chosen.threshold:g}")
    if chosen.phrase == "view glass":
        folder = SHARED_DATA / "speech" / "view_glass"
        sounds = (read_sound(path) for path in sorted(folder.iterdir()) if path.suffix != ".md")
    else:
        sounds = spoken(chosen.phrase)
    found, count = recall(listener, sounds)
    print(f"heard {found} of {count} ({100 * found / count:.0f} %)")
    if chosen.skip_alarms:
        return
    alarms, seconds, cpu_s = 0, 0.0, time.process_time()
    for path in sorted((SHARED_DATA / "speech" / "librispeech").glob("*.ogg")):
        sound = read_sound(path)
        alarms += len(spot(listener, sound, 1e6 + seconds))
        seconds += len(sound) / RATE_HZ
    cpu_s = time.process_time() - cpu_s
    print(
        f"false alarms: {alarms} in {seconds / 60:.0f} min of speech = "
        f"{alarms / seconds * 3600:.1f} an hour; {seconds / cpu_s:.0f} x real time a core"
    )


if __name__ == "__main__":
    main()
