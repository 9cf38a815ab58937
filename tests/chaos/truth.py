"""What a run has left behind: the whole log, as it was written.

Law: read only, and only after the workers have stopped, so that nothing which is counted changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import apsw

from bus.codec import decode
from bus.events import Event
from bus.topics import DLQ_SUFFIX

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it stands in the log."""

    at_s: float
    """Unix time at which it was written."""
    event: Event


@dataclass
class Truth:
    """The log: each fact once, in the order of its first writing within a partition."""

    told: list[Told] = field(default_factory=list)
    again: int = 0
    """Records that repeat a fact; a bus that cannot leave them out has some."""
    dead_letters: list[str] = field(default_factory=list)

    def of(self, kind: type[E]) -> list[E]:
        """Return all events of a type."""
        return [each.event for each in self.told if isinstance(each.event, kind)]

    def sessions(self) -> Iterator[tuple[str, list[Event]]]:
        """Yield each session's events."""
        by_session: dict[str, list[Event]] = defaultdict(list)
        for each in self.told:
            by_session[each.event.session_id].append(each.event)
        yield from by_session.items()

    @property
    def ids(self) -> set[str]:
        """The ids of all events."""
        return {each.event.event_id for each in self.told}


def from_records(records: Sequence[tuple[str, float, bytes]]) -> Truth:
    """Return the truth that records (topic, Unix time, value) tell."""
    truth, seen = Truth(), set[str]()
    for topic, at_s, value in records:
        if topic.endswith(DLQ_SUFFIX):
            truth.dead_letters.append(f"{topic}: {value[:200]!r}")
            continue
        event = decode(value)
        if event.event_id in seen:
            truth.again += 1
            continue
        seen.add(event.event_id)
        truth.told.append(Told(at_s, event))
    return truth


def read_local(path: Path) -> Truth:
    """Read the local bus's file."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return from_records(list(db.execute("SELECT topic, ts, val FROM rec ORDER BY n")))
    finally:
        db.close()
