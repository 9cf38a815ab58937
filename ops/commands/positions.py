"""Places in a recording as a person writes them. Pure."""

from __future__ import annotations

import re

from ingest.span import Span, clock
from ops.errors import OpsError

_SECONDS = re.compile(r"\d{1,7}(?:\.\d{1,3})?")
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,5}):(\d{1,2}(?:\.\d{1,3})?)")
_UNITS = re.compile(r"(?:(\d{1,3})h)?(?:(\d{1,5})m)?(?:(\d{1,7}(?:\.\d{1,3})?)s)?")


def read_span(start: str, stop: str) -> Span:
    """Return the part of a recording between two places; an empty one is its end on that side.

    Raises:
        OpsError: a place is not understood, or they are the wrong way round.
    """
    start_s = read_position(start, "--from") if start else 0.0
    stop_s = read_position(stop, "--to") if stop else None
    if stop_s is not None and stop_s <= start_s:
        raise OpsError(f"--to {clock(stop_s)} must lie behind --from {clock(start_s)}")
    return Span(start_s, stop_s)


def read_position(text: str, option: str) -> float:
    """Return the seconds that `1:00:00`, `90:00`, `3600` or `1h2m3s` stand for.

    Raises:
        OpsError: it is none of these.
    """
    plain = text.strip().lower()
    if _SECONDS.fullmatch(plain):
        return float(plain)
    match = _CLOCK.fullmatch(plain)
    if match is not None:
        hours, minutes, seconds = match.groups()
        if float(seconds) < 60 and (hours is None or int(minutes) < 60):
            return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(seconds)
    match = _UNITS.fullmatch(plain) if plain else None
    if match is not None:
        hours, minutes, seconds = match.groups()
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes or 0) + float(seconds or 0)
    raise OpsError(f"{option} {text}: write a time such as 1:00:00, 90:00, 3600 or 1h2m3s")
