"""The tables of the local log: what is appended, read, dead-lettered and trimmed.

Law: every function runs inside the caller's transaction. `rec.n` is the order in which the whole
file was written; `off` counts within one partition and has no holes when it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import apsw
import orjson

from bus.errors import BusError
from bus.ports import DeadLetter, TopicPartition
from bus.topics import DLQ_SUFFIX, dlq_name

_VERSION = 1

_SCHEMA = """
CREATE TABLE part(topic TEXT, part INTEGER, next INTEGER NOT NULL,
    PRIMARY KEY(topic, part)) WITHOUT ROWID;
CREATE TABLE rec(n INTEGER PRIMARY KEY, topic TEXT NOT NULL, part INTEGER NOT NULL,
    off INTEGER NOT NULL, ts REAL NOT NULL, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL,
    hdr BLOB, val BLOB NOT NULL, UNIQUE(topic, part, off));
CREATE TABLE cur(grp TEXT, topic TEXT, part INTEGER, off INTEGER, owner TEXT,
    gen INTEGER NOT NULL, lease REAL NOT NULL, PRIMARY KEY(grp, topic, part)) WITHOUT ROWID;
CREATE TABLE member(n INTEGER PRIMARY KEY, grp TEXT NOT NULL, name TEXT NOT NULL UNIQUE,
    process TEXT NOT NULL, topics TEXT NOT NULL, lease REAL NOT NULL);
CREATE TABLE epoch(grp TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
"""
"""`cur.off` is NULL until the group's first commit; `epoch` rises when members come or go."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event to append."""

    topic: str
    partition: int
    event_id: str
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A record as it lies in the file."""

    n: int
    offset: int
    at_s: float
    value: bytes


def prepare(db: apsw.Connection) -> None:
    """Make the tables when the file is new.

    Raises:
        BusError: a newer version has written this file.
    """
    version = db.execute("PRAGMA user_version").get
    if version == 0:
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version={_VERSION}")
    elif version != _VERSION:
        raise BusError(f"the bus file has format {version}; this version knows {_VERSION}")


def append(db: apsw.Connection, rows: Sequence[Row], now_s: float) -> Mapping[TopicPartition, int]:
    """Append the rows whose id is new; return the end of every partition that has grown."""
    ends: dict[TopicPartition, int] = {}
    grown: set[TopicPartition] = set()
    for row in rows:
        place = TopicPartition(row.topic, row.partition)
        end = ends[place] if place in ends else _end(db, place)
        ends[place] = end
        db.execute(
            "INSERT INTO rec(topic, part, off, ts, id, key, val) VALUES (?,?,?,?,?,?,?)"
            " ON CONFLICT(id) DO NOTHING",
            (row.topic, row.partition, end, now_s, row.event_id, row.key, row.value),
        )
        if db.changes():
            ends[place] = end + 1
            grown.add(place)
    for place in grown:
        _set_end(db, place, ends[place])
    return {place: ends[place] for place in grown}


def ends(db: apsw.Connection) -> dict[TopicPartition, int]:
    """Return the next offset of every partition that has ever been written."""
    return {
        TopicPartition(topic, part): end
        for topic, part, end in db.execute("SELECT topic, part, next FROM part")
    }


def read(
    db: apsw.Connection, places: Mapping[TopicPartition, int], limit: int
) -> dict[TopicPartition, list[StoredRow]]:
    """Return up to `limit` records of each partition, from the given offset on."""
    return {
        place: [
            StoredRow(*row)
            for row in db.execute(
                "SELECT n, off, ts, val FROM rec WHERE topic=? AND part=? AND off>=?"
                " ORDER BY off LIMIT ?",
                (place.topic, place.partition, offset, limit),
            )
        ]
        for place, offset in places.items()
    }


def first_at(db: apsw.Connection, place: TopicPartition, at_s: float) -> int:
    """Return the offset of a partition's first record that was written at or after a time."""
    low, high = 0, ends(db).get(place, 0)
    while low < high:
        middle = (low + high) // 2
        found = db.execute(
            "SELECT off, ts FROM rec WHERE topic=? AND part=? AND off>=? ORDER BY off LIMIT 1",
            (place.topic, place.partition, middle),
        ).get
        if found is None or found[1] >= at_s:
            high = middle
        else:
            low = found[0] + 1
    return low


def of_key(
    db: apsw.Connection, place: TopicPartition, key: str, begin: int, end: int
) -> list[StoredRow]:
    """Return the records of a key between two offsets."""
    return [
        StoredRow(*row)
        for row in db.execute(
            "SELECT n, off, ts, val FROM rec WHERE topic=? AND part=? AND off>=? AND off<?"
            " AND key=? ORDER BY off",
            (place.topic, place.partition, begin, end, key),
        )
    ]


def bury(
    db: apsw.Connection,
    group: str,
    place: TopicPartition,
    offset: int,
    error: str,
    attempts: int,
    now_s: float,
) -> None:
    """Copy a record into its dead letters, once for each group."""
    found = db.execute(
        "SELECT key, val FROM rec WHERE topic=? AND part=? AND off=?",
        (place.topic, place.partition, offset),
    ).fetchone()
    if found is None:
        raise BusError(f"{place.topic}/{place.partition} has no record {offset} to dead-letter")
    key, value = found
    grave = TopicPartition(dlq_name(place.topic), place.partition)
    end = _end(db, grave)
    told = orjson.dumps({"group": group, "offset": offset, "attempts": attempts, "error": error})
    db.execute(
        "INSERT INTO rec(topic, part, off, ts, id, key, hdr, val) VALUES (?,?,?,?,?,?,?,?)"
        " ON CONFLICT(id) DO NOTHING",
        (
            grave.topic,
            grave.partition,
            end,
            now_s,
            f"{group}/{place.topic}/{place.partition}/{offset}",
            key,
            told,
            value,
        ),
    )
    if db.changes():
        _set_end(db, grave, end + 1)


def dead_letters(db: apsw.Connection, topic: str, limit: int) -> list[DeadLetter]:
    """Return the newest dead letters of a topic, oldest first."""
    letters = []
    for part, at_s, told, value in db.execute(
        "SELECT part, ts, hdr, val FROM rec WHERE topic=? ORDER BY n DESC LIMIT ?",
        (dlq_name(topic), limit),
    ):
        header = orjson.loads(told)
        letters.append(
            DeadLetter(
                topic=topic,
                partition=part,
                offset=header["offset"],
                group=header["group"],
                attempts=header["attempts"],
                error=header["error"],
                at_s=at_s,
                value=value,
            )
        )
    return letters[::-1]


def trim(
    db: apsw.Connection, place: TopicPartition, old_s: float, oldest_s: float, limit: int
) -> int:
    """Remove the first records of a partition; return how many, at most `limit`.

    Args:
        db: the connection.
        place: the partition.
        old_s: records written before go once every group has committed them.
        oldest_s: records written before go in any case.
        limit: the most that one call looks at.
    """
    needed = db.execute(
        "SELECT min(coalesce(off, 0)) FROM cur WHERE topic=? AND part=?",
        (place.topic, place.partition),
    ).get
    if place.topic.endswith(DLQ_SUFFIX):
        needed = 0
    gone = None
    for offset, at_s in db.execute(
        "SELECT off, ts FROM rec WHERE topic=? AND part=? ORDER BY off LIMIT ?",
        (place.topic, place.partition, limit),
    ):
        is_read = needed is None or offset < needed
        if not (at_s < oldest_s or (is_read and at_s < old_s)):
            break
        gone = offset
    if gone is None:
        return 0
    db.execute(
        "DELETE FROM rec WHERE topic=? AND part=? AND off<=?",
        (place.topic, place.partition, gone),
    )
    return db.changes()


def _end(db: apsw.Connection, place: TopicPartition) -> int:
    end: int | None = db.execute(
        "SELECT next FROM part WHERE topic=? AND part=?", (place.topic, place.partition)
    ).get
    return end or 0


def _set_end(db: apsw.Connection, place: TopicPartition, end: int) -> None:
    db.execute(
        "INSERT INTO part(topic, part, next) VALUES (?,?,?)"
        " ON CONFLICT(topic, part) DO UPDATE SET next=excluded.next",
        (place.topic, place.partition, end),
    )
