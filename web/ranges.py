"""HTTP ranges: which bytes of an object a player asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from web.errors import RangeUnsatisfiable

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` up to, but not with, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes it has."""
        return self.end - self.start

    def content_range(self, size: int) -> str:
        """Return the Content-Range header's value."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the range that is asked of an object of `size` bytes; None for the whole of it.

    A header that asks for several ranges, or that nobody can read, is answered with the whole, as
    the RFC allows.

    Raises:
        RangeUnsatisfiable: no byte of the object lies in the range.
    """
    match = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start = int(first)
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise RangeUnsatisfiable(f"the object has {size} bytes")
    return ByteRange(start, end)
