"""The ring's index: which stored segments to let go, by seconds and by bytes.

Law: what is evicted leaves in the order in which it came; the newest segment always stays.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RingEntry:
    """One stored segment."""

    key: str
    end_s: float
    size_bytes: int


class Ring:
    """Bounded by the media seconds and the bytes that it spans."""

    def __init__(self, seconds_max: float, bytes_max: int) -> None:
        self._seconds_max = seconds_max
        self._bytes_max = bytes_max
        self._entries: deque[RingEntry] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def span_s(self) -> float:
        """Media seconds between the ends of the oldest and the newest segment."""
        return self._entries[-1].end_s - self._entries[0].end_s if self._entries else 0.0

    def add(
        self, key: str, end_s: float, size_bytes: int, unseen_s: float | None = None
    ) -> list[str]:
        """Take a segment in; return the keys that leave.

        `unseen_s`: what ends after it has a reader still to come, and stays whatever its size
        (the pace of a replay bounds it).
        """
        self._entries.append(RingEntry(key, end_s, size_bytes))
        self.size_bytes += size_bytes
        leaving = []
        while len(self._entries) > 1 and self._too_large(end_s):
            oldest = self._entries[0]
            if unseen_s is not None and oldest.end_s > unseen_s:
                break
            self._entries.popleft()
            self.size_bytes -= oldest.size_bytes
            leaving.append(oldest.key)
        return leaving

    def _too_large(self, newest_s: float) -> bool:
        return (
            self.size_bytes > self._bytes_max
            or newest_s - self._entries[0].end_s > self._seconds_max
        )
