"""Addresses of databases, as a person writes them and as the driver wants them."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from store.state.errors import UnsupportedDatabase

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


def driver_url(url: str) -> str:
    """Return the address with its asynchronous driver.

    Raises:
        UnsupportedDatabase: it is no address, another kind of database or one in memory.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise UnsupportedDatabase(
            f"{url!r} is no database address; write sqlite:////absolute/path/state.db"
        ) from error
    kind = address.get_backend_name()
    if kind not in _DRIVERS:
        raise UnsupportedDatabase(f"{kind} is not supported; use sqlite or postgresql")
    if kind == "sqlite" and address.database in (None, "", ":memory:"):
        raise UnsupportedDatabase("the state must outlive the process; name a file, not memory")
    return address.set(drivername=_DRIVERS[kind]).render_as_string(hide_password=False)
