"""What the senses mean by sound.

Law: sound is mono s16 at 16 kHz, and its times are media times.
"""

from __future__ import annotations

from dataclasses import dataclass

RATE_HZ = 16_000
HOP_S = 0.1
FLOOR_DB = -90.0
"""Nothing is measured to be quieter; digital silence and time without samples stand here."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stretch of voice: mono s16 at 16 kHz."""

    start_s: float
    """Media time of the first sample."""
    pcm: bytes
    begins: bool
    """Nothing was heard directly before it."""
    ends: bool
    """The voice ends with it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase was heard."""

    phrase: str
    start_s: float
    end_s: float
    confidence: float
    """0 to 1, from the likelihood against everything else that may have been said."""
