"""Up to where a folding consumer may commit, when it must be able to read open sessions again.

Law: a committed position never lies behind the first record of a session that is still open.
"""

from __future__ import annotations

from collections.abc import Collection

from bus.ports import TopicPartition

_FORGET_ABOVE = 10_000
"""Sessions whose heads are remembered; beyond it those that are closed are forgotten."""


class SafePositions:
    """Follows the records that a folding consumer has taken."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}
        self._first: dict[str, dict[TopicPartition, int]] = {}

    def took(self, place: TopicPartition, offset: int, session_id: str | None) -> None:
        """Note a record; `session_id` is None when it belongs to no session that is followed."""
        self._next[place] = offset + 1
        if session_id is not None:
            self._first.setdefault(session_id, {}).setdefault(place, offset)

    def safe(self, open_sessions: Collection[str]) -> dict[TopicPartition, int]:
        """Return the next offset that may be committed in each partition."""
        still_open = frozenset(open_sessions)
        for session_id in self._first.keys() - still_open:
            del self._first[session_id]
        positions = dict(self._next)
        for firsts in self._first.values():
            for place, offset in firsts.items():
                positions[place] = min(positions[place], offset)
        return positions

    def moved(self, places: Collection[TopicPartition]) -> frozenset[str] | None:
        """Forget partitions that another member has now.

        Returns:
            The sessions that were read from them; None when one of these was read from others as
            well, so that it cannot be let go by itself.
        """
        gone = frozenset(
            session_id
            for session_id, firsts in self._first.items()
            if not firsts.keys().isdisjoint(places)
        )
        if any(not self._first[session_id].keys() <= set(places) for session_id in gone):
            return None
        for session_id in gone:
            del self._first[session_id]
        for place in places:
            self._next.pop(place, None)
        return gone


class Heads:
    """Knows the sessions whose beginning has been read.

    After a restart the log begins at the oldest open session's first record, in the midst of
    sessions that were done; their tails tell half a story and are left out.
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def began(self, session_id: str, partition: int) -> None:
        """Note the beginning of a session, and the number of the partition that it lies in."""
        self._seen[session_id] = partition

    def moved(self, places: Collection[TopicPartition], still_open: Collection[str]) -> None:
        """Forget the sessions of partitions that another member has, or has had, but those open.

        Those that were done are forgotten too: where a partition comes back, reading goes on at
        what is committed, which may lie within their tails.
        """
        numbers = {place.partition for place in places}
        left_over = frozenset(still_open)
        for session_id, partition in list(self._seen.items()):
            if partition in numbers and session_id not in left_over:
                del self._seen[session_id]

    def knows(self, session_id: str) -> bool:
        """Whether the session's beginning has been read."""
        return session_id in self._seen

    def forget(self, open_sessions: Collection[str]) -> None:
        """Keep memory bounded: forget the oldest sessions that are closed."""
        if len(self._seen) > _FORGET_ABOVE:
            still_open = frozenset(open_sessions)
            closed = [each for each in self._seen if each not in still_open]
            for session_id in closed[: len(self._seen) - _FORGET_ABOVE]:
                del self._seen[session_id]
