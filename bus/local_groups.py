"""Who reads what: the members of a group, the partitions they own and how far they have come.

Law: partition p of every topic belongs to the living member number p modulo their count, in order
of joining; it moves when its owner has let it go or its lease has run out, and with each move
`gen` rises, so that a commit by the former owner changes nothing and is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import apsw
import orjson

from bus.errors import Fenced
from bus.ports import Lag, TopicPartition
from bus.topics import TOPICS


@dataclass(frozen=True, slots=True)
class Member:
    """One reader in a group."""

    group: str
    name: str
    """Unique, never used again."""
    process: str
    """Name of the process that it lives in."""
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A partition that a member owns."""

    gen: int
    offset: int
    """The next offset that the group has not committed."""


def claim(
    db: apsw.Connection, member: Member, now_s: float, lease_s: float
) -> dict[TopicPartition, Held]:
    """Join, or look again: let go of what is others', take what is free, return what is held.

    To be called when nothing of what was read is waiting for its commit.
    """
    _enter(db, member, now_s, lease_s)
    due = _due(db, member)
    held: dict[TopicPartition, Held] = {}
    for place in _places(member.topics):
        found = db.execute(
            "SELECT off, owner, gen, lease FROM cur WHERE grp=? AND topic=? AND part=?",
            (member.group, place.topic, place.partition),
        ).fetchone()
        offset, owner, gen, lease = found or (None, None, 0, 0.0)
        if owner == member.name:
            if place not in due:
                _let_go(db, member, place)
                continue
        elif place in due and (owner is None or lease < now_s):
            gen += 1
            db.execute(
                "INSERT INTO cur(grp, topic, part, off, owner, gen, lease) VALUES (?,?,?,?,?,?,?)"
                " ON CONFLICT(grp, topic, part)"
                " DO UPDATE SET owner=excluded.owner, gen=excluded.gen, lease=excluded.lease",
                (*_row(member.group, place), offset, member.name, gen, now_s + lease_s),
            )
        else:
            continue
        held[place] = Held(gen, offset or 0)
    return held


def keep(db: apsw.Connection, names: Iterable[str], now_s: float, lease_s: float) -> None:
    """Extend the leases of these members and of what they own."""
    for name in names:
        db.execute("UPDATE member SET lease=? WHERE name=?", (now_s + lease_s, name))
        db.execute("UPDATE cur SET lease=? WHERE owner=?", (now_s + lease_s, name))


def leave(db: apsw.Connection, member: Member) -> None:
    """Let everything go; a group that has never committed and has nobody left is forgotten."""
    db.execute("DELETE FROM member WHERE name=?", (member.name,))
    db.execute("UPDATE cur SET owner=NULL, lease=0 WHERE owner=?", (member.name,))
    _raise_epoch(db, member.group)
    _forget_if_unused(db, member.group)


def processes(db: apsw.Connection) -> list[str]:
    """Return the names of the processes that have members."""
    return [name for (name,) in db.execute("SELECT DISTINCT process FROM member")]


def forget_lost(db: apsw.Connection, gone: Collection[str], now_s: float) -> None:
    """Remove members that are lost, and groups that only they had used.

    Lost is who lived in a process that is gone, or whose lease has run out.
    """
    lost = [
        (name, group)
        for name, group, process, lease in db.execute(
            "SELECT name, grp, process, lease FROM member"
        )
        if process in gone or lease < now_s
    ]
    for name, group in lost:
        db.execute("DELETE FROM member WHERE name=?", (name,))
        db.execute("UPDATE cur SET owner=NULL, lease=0 WHERE owner=?", (name,))
        _raise_epoch(db, group)
        _forget_if_unused(db, group)


def commit(
    db: apsw.Connection,
    member: Member,
    held: Mapping[TopicPartition, Held],
    next_offsets: Mapping[TopicPartition, int],
) -> None:
    """Move the group's cursors forward.

    Raises:
        Fenced: the member does not own one of the partitions; no cursor has moved.
    """
    for place, offset in next_offsets.items():
        if place in held:
            db.execute(
                "UPDATE cur SET off=max(coalesce(off, 0), ?)"
                " WHERE grp=? AND topic=? AND part=? AND owner=? AND gen=?",
                (offset, *_row(member.group, place), member.name, held[place].gen),
            )
        if place not in held or not db.changes():
            raise Fenced(f"{member.group} lost {place.topic}/{place.partition} to another member")


def commit_buried(
    db: apsw.Connection, member: Member, place: TopicPartition, gen: int, offset: int
) -> None:
    """Step over a record that cannot be decoded, when all before it is committed."""
    db.execute(
        "UPDATE cur SET off=? WHERE grp=? AND topic=? AND part=? AND owner=? AND gen=?"
        " AND coalesce(off, 0)=?",
        (offset + 1, *_row(member.group, place), member.name, gen, offset),
    )


def epochs(db: apsw.Connection) -> dict[str, int]:
    """Return each group's count of comings and goings."""
    return dict(db.execute("SELECT grp, at FROM epoch"))


def lag(db: apsw.Connection, group: str, now_s: float) -> list[Lag]:
    """Return how far the group is behind in each partition that it has ever claimed."""
    rows = db.execute(
        "SELECT topic, part,"
        " (SELECT count(*) FROM rec WHERE rec.topic=cur.topic AND rec.part=cur.part"
        "  AND rec.off>=coalesce(cur.off, 0)),"
        " (SELECT ts FROM rec WHERE rec.topic=cur.topic AND rec.part=cur.part"
        "  AND rec.off>=coalesce(cur.off, 0) ORDER BY rec.off LIMIT 1)"
        " FROM cur WHERE grp=? ORDER BY topic, part",
        (group,),
    )
    return [
        Lag(
            TopicPartition(topic, part),
            count,
            0.0 if oldest_s is None else max(0.0, now_s - oldest_s),
        )
        for topic, part, count, oldest_s in cast(Iterable[tuple[str, int, int, float | None]], rows)
    ]


def _enter(db: apsw.Connection, member: Member, now_s: float, lease_s: float) -> None:
    db.execute("DELETE FROM member WHERE grp=? AND lease<?", (member.group, now_s))
    gone = db.changes()
    db.execute("UPDATE member SET lease=? WHERE name=?", (now_s + lease_s, member.name))
    come = not db.changes()
    if come:
        db.execute(
            "INSERT INTO member(grp, name, process, topics, lease) VALUES (?,?,?,?,?)",
            (
                member.group,
                member.name,
                member.process,
                orjson.dumps(member.topics).decode(),
                now_s + lease_s,
            ),
        )
    db.execute("UPDATE cur SET lease=? WHERE owner=?", (now_s + lease_s, member.name))
    if gone or come:
        _raise_epoch(db, member.group)


def _due(db: apsw.Connection, member: Member) -> Collection[TopicPartition]:
    """Return the partitions that are this member's to own."""
    rows = db.execute("SELECT name, topics FROM member WHERE grp=? ORDER BY n", (member.group,))
    living = [(name, frozenset(orjson.loads(topics))) for name, topics in rows]
    due = set()
    for topic in member.topics:
        readers = [name for name, topics in living if topic in topics]
        mine = readers.index(member.name)
        due |= {place for place in _places((topic,)) if place.partition % len(readers) == mine}
    return due


def _let_go(db: apsw.Connection, member: Member, place: TopicPartition) -> None:
    db.execute(
        "UPDATE cur SET owner=NULL, lease=0 WHERE grp=? AND topic=? AND part=?",
        _row(member.group, place),
    )
    _raise_epoch(db, member.group)


def _places(topics: Sequence[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in range(TOPICS[topic].partitions)
    ]


def _row(group: str, place: TopicPartition) -> tuple[str, str, int]:
    return group, place.topic, place.partition


def _raise_epoch(db: apsw.Connection, group: str) -> None:
    db.execute(
        "INSERT INTO epoch(grp, at) VALUES (?, 1) ON CONFLICT(grp) DO UPDATE SET at=at+1",
        (group,),
    )


def _forget_if_unused(db: apsw.Connection, group: str) -> None:
    """Forget a group that nobody is in and that has committed nothing: it has no place to keep."""
    used = db.execute(
        "SELECT EXISTS(SELECT 1 FROM member WHERE grp=?)"
        " OR EXISTS(SELECT 1 FROM cur WHERE grp=? AND off IS NOT NULL)",
        (group, group),
    ).get
    if not used:
        db.execute("DELETE FROM cur WHERE grp=?", (group,))
        db.execute("DELETE FROM epoch WHERE grp=?", (group,))
