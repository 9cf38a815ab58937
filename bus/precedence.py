"""Who goes next when live work and replays wait at the same place.

Law: live goes before replay and within each the first come goes first; but of `share_of` that go
while a replay waits one is a replay, so that none waits for ever.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

REPLAY_SHARE_OF = 8
_One = TypeVar("_One")


class Precedence(Generic[_One]):
    """Two lines of waiters with one exit."""

    def __init__(self, share_of: int = REPLAY_SHARE_OF) -> None:
        """`share_of`: of so many that go while a replay waits, one is a replay; 2 at least."""
        self._share_of = max(2, share_of)
        self._live: deque[_One] = deque()
        self._replays: deque[_One] = deque()
        self._passed = 0
        """Live ones that have gone by since a replay waits and none has gone."""

    def __len__(self) -> int:
        return len(self._live) + len(self._replays)

    def add(self, one: _One, *, live: bool) -> None:
        """Take the last place in one of the lines."""
        (self._live if live else self._replays).append(one)

    def next(self) -> _One:
        """Take out who goes next.

        Raises:
            IndexError: nobody waits.
        """
        is_due = self._passed >= self._share_of - 1
        if self._replays and (is_due or not self._live):
            self._passed = 0
            return self._replays.popleft()
        self._passed = self._passed + 1 if self._replays else 0
        return self._live.popleft()

    def leave(self, one: _One, *, live: bool) -> None:
        """Go away without having had a turn; who does not wait is not missed."""
        line = self._live if live else self._replays
        if one in line:
            line.remove(one)
