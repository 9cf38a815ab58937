"""Names that members of groups keep while their process is killed and started again (KIP-345).

Law: of all living processes one has a name, and of its members one. A process that learns that
another one goes by its names gives them up for as long as it lives.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.group import HeartbeatResponse_v1
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

NAME_TAKEN = 82
"""What a broker answers a member whose name another one has taken over (FENCED_INSTANCE_ID)."""

_TEXT = String("utf-8")


class Names:
    """Gives each member of a group that this process has a name of its own."""

    def __init__(self, own: str) -> None:
        """Let all names begin with `own`, which no other living process has; give none if empty."""
        self._own = own
        self._given: set[tuple[str, str]] = set()

    def give(self, group: str, topics: Sequence[str]) -> str | None:
        """Return the first name that no member of the group has, or None: join without one.

        Whoever comes back under a name is given the same partitions without a look at its topics,
        so a reader of other topics goes by another name.
        """
        if not self._own:
            return None
        read = hashlib.sha256("\n".join(sorted(topics)).encode()).hexdigest()[:8]
        names = (f"{self._own}-{read}-{n}" for n in itertools.count())
        name = next(each for each in names if (group, each) not in self._given)
        self._given.add((group, name))
        return name

    def take_back(self, group: str, name: str | None) -> None:
        """Note that a name is free again."""
        if name is not None:
            self._given.discard((group, name))

    def give_up(self) -> None:
        """Give no more names: another process has them."""
        self._own = ""


class InVersion:
    """A request in the one version in which it can tell a member's name."""

    def __init__(self, told: Any) -> None:
        self._told = told

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Any:
        """Return what goes over the wire; called by the library.

        Raises:
            IncompatibleBrokerVersion: the broker does not know it.
        """
        first, last = versions.get(self._told.API_KEY, (0, -1))
        if not first <= self._told.API_VERSION <= last:
            raise IncompatibleBrokerVersion(f"the broker has no {type(self._told).__name__}")
        return self._told


def heartbeat(group: str, generation: int, member: str, name: str) -> InVersion:
    """Ask whether a name still is a member's own."""
    return InVersion(_Heartbeat(group, generation, member, name))


def farewell(group: str, name: str) -> InVersion:
    """Take leave for whoever has a name, when it has not been told yet what the group calls it."""
    return InVersion(_Farewell(group, [("", name)]))


class _Heartbeat(RequestStruct):  # type: ignore[misc]  # the library has no types
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponse_v1
    SCHEMA = Schema(("group", _TEXT), ("generation", Int32), ("member", _TEXT), ("name", _TEXT))


class _Left(Response):  # type: ignore[misc]  # the library has no types
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("members", Array(("member", _TEXT), ("name", _TEXT), ("error_code", Int16))),
    )


class _Farewell(RequestStruct):  # type: ignore[misc]  # the library has no types
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _Left
    SCHEMA = Schema(("group", _TEXT), ("members", Array(("member", _TEXT), ("name", _TEXT))))
