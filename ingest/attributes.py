"""The small notations inside a playlist's tags: attribute lists, dates, ranges, numbers.

Law: nothing here raises on a stranger's text; what cannot be read is None.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

_ATTRIBUTE = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*("[^"]*"|[^",]*)\s*(?:,|$)')
_RANGE = re.compile(r"^\s*(\d{1,15})(?:@(\d{1,15}))?\s*$")
_NUMBER = re.compile(r"^\s*[+-]?\d{1,18}(\.\d{0,18})?\s*$")
_ZONE_WITHOUT_COLON = re.compile(r"([+-]\d{2})(\d{2})$")


def read_attributes(text: str) -> dict[str, str]:
    """Return an attribute list as names (upper case) and values without quotes."""
    return {m.group(1).upper(): m.group(2).strip().strip('"') for m in _ATTRIBUTE.finditer(text)}


def read_date(text: str) -> float | None:
    """Return an ISO 8601 date as Unix time; a date without a zone is UTC."""
    cleaned = _ZONE_WITHOUT_COLON.sub(r"\1:\2", text.strip())
    try:
        date = datetime.fromisoformat(cleaned)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return date.timestamp()
    except (ValueError, OverflowError):
        return None


def read_range(text: str) -> tuple[int, int | None] | None:
    """Return `length@offset` as (length, offset or None)."""
    match = _RANGE.match(text)
    if match is None:
        return None
    offset = match.group(2)
    return int(match.group(1)), int(offset) if offset is not None else None


def read_number(text: str | None) -> float | None:
    """Return a decimal number, integer or not; None for anything else, infinities included."""
    if text is None or not _NUMBER.match(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def read_whole(text: str | None) -> int | None:
    """Return a whole number of at most 18 digits."""
    cleaned = (text or "").strip()
    return int(cleaned) if cleaned.isascii() and cleaned.isdigit() and len(cleaned) <= 18 else None
