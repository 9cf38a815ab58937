"""The sound of the demo's stream: music, effects and a voice, mixed.

Law: the same script gives the same samples; the voice is handed in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ops.demo.script import DURATION_S, FPS, MOMENTS, SPEECH, Mood, Say
from ops.demo.voice import Sound, Voice

RATE_HZ = 48_000
_PEAK = 0.89

_SPEED: dict[Mood, int] = {"calm": 165, "excited": 190, "command": 160}
_PITCH: dict[Mood, int] = {"calm": 50, "excited": 68, "command": 50}
_LIVELINESS: dict[Mood, int] = {"calm": 40, "excited": 90, "command": 50}
_LOUDNESS: dict[Mood, float] = {"calm": 0.22, "excited": 0.75, "command": 0.6}

_CHORDS_HZ = (
    (220.00, 261.63, 329.63),
    (174.61, 220.00, 261.63),
    (196.00, 246.94, 293.66),
    (164.81, 196.00, 246.94),
)
_CHORD_S = 4.0
_NOTE_S = 0.25
_MUSIC = 0.035
_DUCKED = 0.05
_HISS = 0.0015
_DUCKED_S = 10.0
_BLAST = 0.5
_AUDIBLE = 0.02
_BLAST_S = 1.8


def spoken(voice: Voice) -> Sound:
    """Return the voice alone, mono at `RATE_HZ`, as long as the stream."""
    track = np.zeros(int(DURATION_S * RATE_HZ), np.float32)
    for say in SPEECH:
        sound = _said(voice, say)
        sound *= _LOUDNESS[say.mood] / max(float(np.abs(sound).max()), 1e-6)
        begin = int(say.at_s * RATE_HZ)
        end = min(begin + len(sound), len(track))
        track[begin:end] += sound[: end - begin]
    return track


def subtitles(voice: Voice) -> str:
    """Return what is said, and when, as an .srt file."""
    cues = []
    for number, say in enumerate(SPEECH, start=1):
        loud = np.flatnonzero(np.abs(_said(voice, say)) > _AUDIBLE)
        begin_s = say.at_s + float(loud[0]) / RATE_HZ
        end_s = say.at_s + float(loud[-1]) / RATE_HZ
        cues.append(f"{number}\n{_stamp(begin_s)} --> {_stamp(end_s)}\n{say.text}\n")
    return "\n".join(cues)


def _said(voice: Voice, say: Say) -> Sound:
    sound = voice.say(
        say.text,
        words_per_minute=_SPEED[say.mood],
        pitch=_PITCH[say.mood],
        liveliness=_LIVELINESS[say.mood],
    )
    return _resampled(sound, voice.rate_hz)


def _stamp(seconds: float) -> str:
    whole_s, ms = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole_s, 60)
    return f"00:{minutes:02d}:{second:02d},{ms:03d}"


def mixed(speech: Sound) -> NDArray[np.int16]:
    """Return the whole sound, stereo samples of shape (n, 2)."""
    effects, ducked = _effects(len(speech)), _ducked(len(speech))
    left = speech + _music(len(speech), 0.0) * ducked + effects
    right = speech + _music(len(speech), 0.4) * ducked + effects
    both = np.stack((left, right), axis=1)
    hiss = np.random.default_rng(6).normal(0.0, _HISS, len(speech))
    both += hiss.astype(np.float32)[:, np.newaxis]
    both *= min(1.0, _PEAK / float(np.abs(both).max()))
    return (both * 32767.0).astype(np.int16)


def mouth(speech: Sound) -> NDArray[np.float32]:
    """Return how far the mouth is open in each frame of the picture, 0 to 1."""
    hop = RATE_HZ // FPS
    frames = speech[: len(speech) // hop * hop].reshape(-1, hop)
    rms = np.sqrt((frames**2).mean(axis=1))
    opening: Sound = np.clip(np.power(rms / 0.16, 0.6), 0.0, 1.0).astype(np.float32)
    return opening


def _resampled(sound: Sound, rate_hz: int) -> Sound:
    count = int(len(sound) * RATE_HZ / rate_hz)
    places = np.arange(count) * (rate_hz / RATE_HZ)
    resampled: Sound = np.interp(places, np.arange(len(sound)), sound).astype(np.float32)
    return resampled


def _music(count: int, phase: float) -> Sound:
    """Return a quiet arpeggio over four chords and their bass."""
    music = np.zeros(count, np.float32)
    step = int(_NOTE_S * RATE_HZ)
    t_s = np.arange(step) / RATE_HZ
    envelope = np.exp(-t_s * 7.0) * np.minimum(1.0, t_s * 200.0)
    for number, begin in enumerate(range(0, count - step + 1, step)):
        chord = _CHORDS_HZ[int(number * _NOTE_S / _CHORD_S) % len(_CHORDS_HZ)]
        note_hz = chord[(0, 1, 2, 1)[number % 4]] * 2
        tone = np.sin(2 * np.pi * note_hz * t_s + phase) * envelope
        bass = 0.6 * np.sin(2 * np.pi * (chord[0] / 2) * (t_s + number * _NOTE_S))
        music[begin : begin + step] += (tone + bass).astype(np.float32)
    return music * _MUSIC


def _ducked(count: int) -> Sound:
    """Return the music's level: the game holds its breath after a moment."""
    level = np.ones(count, np.float32)
    for moment in MOMENTS:
        begin = int(moment.at_s * RATE_HZ)
        level[begin : begin + int(_DUCKED_S * RATE_HZ)] = _DUCKED
    window = np.ones(RATE_HZ // 4, np.float32) / (RATE_HZ // 4)
    cumulative = np.cumsum(np.pad(level, (len(window), 0), mode="edge"))
    return ((cumulative[len(window) :] - cumulative[: -len(window)]) / len(window)).astype(
        np.float32
    )


def _effects(count: int) -> Sound:
    """Return a blast at each moment."""
    effects = np.zeros(count, np.float32)
    noise = np.random.default_rng(5)
    length = int(_BLAST_S * RATE_HZ)
    t_s = np.arange(length) / RATE_HZ
    for moment in MOMENTS:
        rumble = np.cumsum(noise.normal(0.0, 1.0, length))
        rumble -= np.convolve(rumble, np.ones(960) / 960, mode="same")
        blast = rumble / np.abs(rumble).max() * np.exp(-t_s * 2.2)
        begin = int(moment.at_s * RATE_HZ)
        effects[begin : begin + length] += (blast * _BLAST).astype(np.float32)
    return effects
