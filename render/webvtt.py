"""The captions as WebVTT, for players and for search.

Law: pure; one cue for each page, with the very times of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from render.captions import Page


def to_webvtt(pages: Sequence[Page]) -> str:
    """Return the pages as a WebVTT file."""
    cues = ["WEBVTT\n"]
    for page in pages:
        rows: dict[float, list[str]] = {}
        for word in page.words:
            rows.setdefault(word.center_y, []).append(escape(word.shown.text, quote=False))
        text = "\n".join(" ".join(row) for row in rows.values())
        cues.append(f"{_clock(page.start_s)} --> {_clock(page.end_s)}\n{text}\n")
    return "\n".join(cues)


def _clock(at_s: float) -> str:
    whole_ms = round(at_s * 1000)
    hours, rest_ms = divmod(whole_ms, 3_600_000)
    minutes, rest_ms = divmod(rest_ms, 60_000)
    seconds, milliseconds = divmod(rest_ms, 1000)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"
