"""A session as a picture: curves, gaps, moments and clips over media time.

Law: across, everything is in percent of the session, so that one picture fits every screen; down,
in pixels. What it draws is text and numbers alone: the template makes the SVG.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from store.state.views import SessionDetail
from web.words import clock_text, evidence_text, gap_text, kind_text, span_text

COLUMNS_MAX = 400
_STEPS_S = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
_TICKS_MAX = 6
_QUIET_DB = -60.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A place or span on the timeline; `x` and `width` in percent."""

    x: float
    width: float
    label: str
    """What a pointer that rests on it tells."""
    look: str
    """Its class in the style sheet."""
    target: str = ""
    """Id of the element on the page that tells more."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is drawn."""

    length_s: float
    loudness: str
    """SVG path in a box of 1000 × 100; empty when nothing is known, like `chat`."""
    chat: str
    chat_max: float
    """Messages a second at the top of the chat curve."""
    gaps: tuple[Mark, ...]
    clips: tuple[Mark, ...]
    moments: tuple[Mark, ...]
    ticks: tuple[Mark, ...]


def draw_timeline(detail: SessionDetail) -> Timeline:
    """Return the picture of a session."""
    session = detail.session
    length_s = max(session.media_s, session.duration_s or 0.0, 1.0)

    def mark(start_s: float, end_s: float, label: str, look: str, target: str = "") -> Mark:
        start = min(100.0, max(0.0, start_s / length_s * 100))
        end = min(100.0, max(start, end_s / length_s * 100))
        return Mark(round(start, 3), round(end - start, 3), label, look, target)

    chat = _columns(detail.curves.get("chat", ()), length_s)
    loud = _columns(detail.curves.get("loudness", ()), length_s)
    chat_max = max((value for value in chat if value is not None), default=0.0)
    return Timeline(
        length_s=length_s,
        loudness=_area([_share(value) for value in loud]),
        chat=_area([None if v is None else v / max(chat_max, 1.0) for v in chat]),
        chat_max=chat_max,
        gaps=tuple(
            mark(
                gap.start_s,
                gap.end_s,
                f"{clock_text(gap.start_s)} {gap_text(gap.reason)},"
                f" {span_text(gap.end_s - gap.start_s)}",
                "gap",
            )
            for gap in detail.gaps
        ),
        clips=tuple(
            mark(
                clip.start_s,
                clip.end_s,
                f"{clock_text(clip.start_s)} {clip.title or 'clip'}",
                f"clip {clip.status}",
                f"clip-{clip.id}",
            )
            for clip in detail.clips
        ),
        moments=tuple(
            mark(
                moment.peak_s,
                moment.peak_s,
                f"{clock_text(moment.peak_s)} {kind_text(moment.kind)}:"
                f" {evidence_text(moment.evidence, moment.kind)}",
                f"moment {moment.status}",
            )
            for moment in detail.moments
        ),
        ticks=tuple(mark(at_s, at_s, clock_text(at_s), "tick") for at_s in _ticks(length_s)),
    )


def _columns(curve: Sequence[float | None], length_s: float) -> list[float | None]:
    """Return the loudest value of each column; seconds that nobody measured stay None."""
    seconds = math.ceil(length_s)
    width = max(1, math.ceil(seconds / COLUMNS_MAX))
    columns: list[float | None] = []
    for begin in range(0, seconds, width):
        known = [value for value in curve[begin : begin + width] if value is not None]
        columns.append(max(known) if known else None)
    return columns if any(value is not None for value in columns) else []


def _share(level_db: float | None) -> float | None:
    return None if level_db is None else min(1.0, max(0.0, 1 - level_db / _QUIET_DB))


def _area(shares: Sequence[float | None]) -> str:
    """Return a filled path for shares from 0 to 1; unknown columns are left open."""
    if not shares:
        return ""
    step = 1000 / len(shares)
    path = []
    for place, share in enumerate(shares):
        if share is not None:
            top = 100 - share * 100
            path.append(f"M{place * step:.1f} 100V{top:.1f}h{step:.2f}V100z")
    return "".join(path)


def _ticks(length_s: float) -> list[float]:
    step = next((step for step in _STEPS_S if length_s / step <= _TICKS_MAX), _STEPS_S[-1])
    # The last tick keeps off the edge, where its label would be cut off.
    return [float(at_s) for at_s in range(0, int(length_s * 0.94) + 1, step)]
