"""Ids that came not long ago, to tell what comes again.

Law: the newest `at_least` ids are always known; never are more than twice as many kept.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Id = TypeVar("Id", bound=Hashable)


class RecentIds(Generic[Id]):
    """Two generations of ids: when the young one is full it becomes the old one.

    A dict that drops its first entry for each new one would be searched from its emptied front
    again and again.
    """

    def __init__(self, at_least: int) -> None:
        self._at_least = at_least
        self._young: set[Id] = set()
        self._old: set[Id] = set()

    def __contains__(self, one: Id) -> bool:
        return one in self._young or one in self._old

    def add(self, one: Id) -> bool:
        """Note an id; return whether it was not known."""
        if one in self._young or one in self._old:
            return False
        self._young.add(one)
        if len(self._young) >= self._at_least:
            self._old, self._young = self._young, set()
        return True

    def discard(self, one: Id) -> None:
        """Forget an id, if it is known."""
        self._young.discard(one)
        self._old.discard(one)
