"""What can go wrong with the database, by whose fault it is."""

from bus.errors import Unavailable
from store.errors import StoreError


class StateError(StoreError):
    """The database could not do what it was asked."""


class UnsupportedDatabase(StateError):
    """The address names no database that ClipThat keeps its state in."""


class StateUnavailable(StateError, Unavailable):
    """The database is locked, full or gone; what was to be written is written later."""
