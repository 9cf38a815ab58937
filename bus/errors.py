"""What can go wrong on the bus, by whose fault it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bus.ports import TopicPartition


class BusError(Exception):
    """The bus could not do what it was asked."""


class Fenced(BusError):
    """Another member owns this partition now; drop what is in hand and fetch again."""

    def __init__(self, message: str, places: Iterable[TopicPartition] = ()) -> None:
        super().__init__(message)
        self.places = frozenset(places)
        """Which partitions have moved, as far as `fetch` knows; empty: any may have."""


class UnknownEvent(BusError):
    """The record names an event type that this version does not know."""


class MalformedEvent(BusError):
    """The record's value does not fit its event type."""


class BusFull(BusError):
    """The bus has no space left; free some on its disk and run the same command again."""


class BusBroken(BusError):
    """The log's file is damaged, or its disk cannot be read or written; a new try will not help."""


class BusClosed(BusError):
    """The bus has been closed; nothing more can be asked of it."""


class Unavailable(Exception):
    """What a handler needs is not there at present, and the record in hand is not to blame.

    `consume` and `fold` never dead-letter a record for it: they stop, and the supervisor starts
    the stage again later.
    """
