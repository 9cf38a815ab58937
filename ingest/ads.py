"""Which segments are advertisements that a platform stitched in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.attributes import read_date, read_number
from ingest.segment import Segment

OPEN_SPAN_S = 60.0
"""An ad without a length holds no longer than this: a stale tag must not hide the stream."""
_EDGE_S = 0.05
_CLASSES = ("twitch-stitched-ad", "twitch-ad-quartile")


@dataclass(frozen=True, slots=True)
class AdSpan:
    """Wall time of one advertisement."""

    start_s: float
    end_s: float

    def holds(self, date_s: float) -> bool:
        """Tell whether a segment that begins at `date_s` lies in the ad."""
        return self.start_s - _EDGE_S <= date_s < self.end_s - _EDGE_S


def read_ad_span(attributes: Mapping[str, str]) -> AdSpan | None:
    """Return the span of a DATERANGE that marks a stitched ad or a part of one, else None."""
    marked = attributes.get("CLASS") in _CLASSES or attributes.get("ID", "").startswith(
        "stitched-ad-"
    )
    start_s = read_date(attributes.get("START-DATE", ""))
    if not marked or start_s is None:
        return None
    end_s = read_date(attributes.get("END-DATE", ""))
    length_s = read_number(attributes.get("DURATION"))
    if length_s is None:
        length_s = read_number(attributes.get("PLANNED-DURATION"))
    if end_s is None:
        end_s = start_s + (OPEN_SPAN_S if length_s is None else length_s)
    return AdSpan(start_s, end_s)


def mark_ads(segments: Iterable[Segment], spans: Sequence[AdSpan]) -> list[Segment]:
    """Return the segments, advertisements marked by date or by their title."""
    return [replace(s, ad=True) if _is_ad(s, spans) else s for s in segments]


def _is_ad(segment: Segment, spans: Sequence[AdSpan]) -> bool:
    if "Amazon" in segment.title:
        return True
    date_s = segment.pdt_s
    return date_s is not None and any(span.holds(date_s) for span in spans)
