"""Sets of time: which milliseconds of a session are covered.

Law: a union does not depend on the order of what it unites, nor on how often.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
"""Start and end in whole milliseconds; the end no longer belongs to it."""


def to_span(start_s: float, duration_s: float) -> Span:
    """Return the span in milliseconds; rounded at both ends, so that neighbours still touch."""
    return round(start_s * 1000), round((start_s + duration_s) * 1000)


def unite(spans: Iterable[Sequence[int]], join_ms: int = 0) -> list[Span]:
    """Return the spans in order, without overlaps; holes of at most `join_ms` are closed."""
    united: list[Span] = []
    for start, end in sorted((span[0], span[1]) for span in spans if span[1] > span[0]):
        if united and start - united[-1][1] <= join_ms:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united


def total_ms(spans: Iterable[Span]) -> int:
    """Return the milliseconds that united spans cover."""
    return sum(end - start for start, end in spans)
