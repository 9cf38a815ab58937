"""Says which parts of a sound are a voice, and cuts out the stretches worth listening to.

Law: sound is mono s16 at 16 kHz, and decisions fall in frames of 20 ms.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from detectors.sound import RATE_HZ, Piece

FRAME_SAMPLES = RATE_HZ // 50
FRAME_S = FRAME_SAMPLES / RATE_HZ
_OPENING_FRAMES = 5
_OPENING_VOICED = 3
_CONTIGUOUS_S = 0.002

Pcm = NDArray[np.int16]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Frames:
    """Whole frames that follow one another."""

    start_s: float
    pcm: Pcm
    """(frames, 320)."""
    voiced: Flags
    """(frames,)."""


class VoiceGate:
    """The voice detector with an energy gate: quiet noise is never a voice."""

    def __init__(self, floor_db: float) -> None:
        self._vad = webrtcvad.Vad(3)
        self._floor = 10 ** (floor_db / 10) * 32768.0**2
        self._rest: Pcm = np.empty(0, np.int16)
        self._next_s = 0.0
        self._is_voice = False

    def feed(self, start_s: float, pcm: Pcm) -> tuple[Flags, Frames]:
        """Take sound that begins at `start_s`.

        Returns:
            A flag for each sample of `pcm`, and the frames that are now whole. Samples after the
            last whole frame carry that frame's flag; they come again in the next frames.
        """
        if abs(start_s - self._next_s) > _CONTIGUOUS_S:
            self._rest = np.empty(0, np.int16)
            self._is_voice = False
        carried = len(self._rest)
        frames_start_s = start_s - carried / RATE_HZ
        pcm_all = np.concatenate([self._rest, pcm]) if carried else pcm
        count = len(pcm_all) // FRAME_SAMPLES
        whole = pcm_all[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
        voiced = self._decide(whole)
        self._rest = pcm_all[count * FRAME_SAMPLES :].copy()
        self._next_s = start_s + len(pcm) / RATE_HZ
        self._is_voice = bool(voiced[-1]) if count else self._is_voice
        tail = np.full(len(self._rest), self._is_voice)
        flags = np.concatenate([np.repeat(voiced, FRAME_SAMPLES), tail])[carried:]
        return flags, Frames(frames_start_s, whole, voiced)

    def _decide(self, whole: Pcm) -> Flags:
        power = np.einsum("ij,ij->i", whole, whole, dtype=np.float64) / FRAME_SAMPLES
        octets = whole.tobytes()
        size = FRAME_SAMPLES * 2
        return np.array(
            [
                self._vad.is_speech(octets[at * size : (at + 1) * size], RATE_HZ) and loud
                for at, loud in enumerate(power >= self._floor)
            ],
            dtype=np.bool_,
        )


class VoicedStretches:
    """Keeps the frames with a voice, and a little before and after, as pieces of stretches."""

    def __init__(self, padding_s: float) -> None:
        self._padding = max(1, round(padding_s / FRAME_S))
        self._before: deque[tuple[float, bytes]] = deque(maxlen=self._padding)
        self._recent: deque[bool] = deque(maxlen=_OPENING_FRAMES)
        self._calm = 0
        self._is_open = False
        self._next_s = 0.0

    def feed(self, frames: Frames) -> list[Piece]:
        """Return the pieces that these frames give; an open stretch goes on in the next call."""
        pieces: list[Piece] = []
        if not len(frames.voiced):
            return pieces
        if abs(frames.start_s - self._next_s) > _CONTIGUOUS_S:
            pieces += self.cut()
        gathered: list[tuple[float, bytes]] = []
        begins = False
        for at, voiced in enumerate(frames.voiced.tolist()):
            frame = (frames.start_s + at * FRAME_S, frames.pcm[at].tobytes())
            self._recent.append(voiced)
            if not self._is_open:
                self._before.append(frame)
                if sum(self._recent) < _OPENING_VOICED:
                    continue
                gathered, begins = list(self._before), True
                self._before.clear()
                self._is_open, self._calm = True, 0
                continue
            gathered.append(frame)
            self._calm = 0 if voiced else self._calm + 1
            if self._calm > self._padding:
                pieces.append(_piece(gathered, begins=begins, ends=True))
                self._is_open, gathered, begins = False, [], False
                self._recent.clear()
        if gathered:
            pieces.append(_piece(gathered, begins=begins, ends=False))
        self._next_s = frames.start_s + len(frames.voiced) * FRAME_S
        return pieces

    def cut(self) -> list[Piece]:
        """End the open stretch, if there is one, and forget what was before it."""
        pieces = [Piece(self._next_s, b"", begins=False, ends=True)] if self._is_open else []
        self._before.clear()
        self._recent.clear()
        self._is_open = False
        return pieces


def _piece(frames: list[tuple[float, bytes]], *, begins: bool, ends: bool) -> Piece:
    return Piece(frames[0][0], b"".join(pcm for _, pcm in frames), begins=begins, ends=ends)
