"""What one process of many does: its roles, and what each of them needs.

Law: pure; the control role alone has the database, so that every other may run where nothing but
the bus, the objects and the control role's address is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from ops.errors import OpsError

RoleName = Literal["control", "ingest", "detect", "clip", "render"]

ROLES: tuple[RoleName, ...] = get_args(RoleName)
"""In the order in which a stream passes them, the one that keeps the books first."""

WHAT: dict[RoleName, str] = {
    "control": "pages, database, who works on what",
    "ingest": "pulls the channels that it leases, with their chat",
    "detect": "senses and detectors",
    "clip": "plans clips and cuts them",
    "render": "makes the outputs that it leases",
}
"""What each role does, for a person."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of one process, at least one."""

    names: frozenset[RoleName]

    def __contains__(self, name: RoleName) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[RoleName]:
        return (name for name in ROLES if name in self.names)

    def __str__(self) -> str:
        return ",".join(self)

    @property
    def has_database(self) -> bool:
        """Whether the process opens the database and shows the pages."""
        return "control" in self

    @property
    def leases(self) -> bool:
        """Whether the process asks for work that one worker alone may do."""
        return "ingest" in self or "render" in self

    @property
    def needs_control_url(self) -> bool:
        """Whether the process must be told where the control role answers."""
        return self.leases and not self.has_database


def read_roles(text: str) -> Roles:
    """Return the roles that a comma-separated list names.

    Raises:
        OpsError: it names none, or one that is not there; the message lists them all.
    """
    wanted = [part.strip().lower() for part in text.split(",") if part.strip()]
    unknown = [name for name in wanted if name not in ROLES]
    if unknown or not wanted:
        said = (
            f"there is no role {', '.join(map(repr, unknown))}" if unknown else "no role is named"
        )
        known = "; ".join(f"{name} ({WHAT[name]})" for name in ROLES)
        raise OpsError(f"{said}; the roles are {known}")
    return Roles(frozenset(name for name in ROLES if name in wanted))
