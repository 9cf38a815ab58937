"""Start-precision: how many of the first k moments begin where a highlight begins.

Law: of at most 10 moments a video, at least 120 s apart, the k with the highest scores are looked
at; one is a hit when its start lies in [span start − 10 s, span end] of any span. The video's
figure is hits / k also where fewer than k were found, and all videos weigh the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ops.scoring.labelled import Span

KS = (1, 5, 10)
EARLY_S = 10.0
APART_S = 120.0
MOMENTS_MAX = max(KS)


@dataclass(frozen=True, slots=True)
class Pick:
    """A moment that a method names."""

    start_s: float
    score: float
    decided_s: float | None = None
    """Video second at which a causal method had decided."""
    chat_peak_s: float | None = None
    """Video second of the chat peak that it stands on."""


def hit_span(start_s: float, spans: Sequence[Span]) -> Span | None:
    """Return the first span that a start hits."""
    for span in spans:
        if span.start_s - EARLY_S <= start_s <= span.end_s:
            return span
    return None


def precision(picks: Sequence[Pick], spans: Sequence[Span]) -> tuple[float, ...]:
    """Return hits / k for each k of KS.

    Raises:
        ValueError: two picks lie closer than 120 s.
    """
    starts = sorted(pick.start_s for pick in picks)
    if any(b - a < APART_S for a, b in pairwise(starts)):
        raise ValueError(f"two picks lie closer than {APART_S} s: {starts}")
    ranked = sorted(picks, key=lambda pick: (-pick.score, pick.start_s))
    hits = [hit_span(pick.start_s, spans) is not None for pick in ranked]
    return tuple(sum(hits[:k]) / k for k in KS)
