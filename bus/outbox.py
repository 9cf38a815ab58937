"""What brokers have not acknowledged yet, on our own disk.

Law: messages leave in the order in which they came, and only after they have been acknowledged.
One process owns the file; the next that starts in the same folder takes over what is left, and the
name that goes with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import apsw
import orjson

from bus.errors import BusError
from bus.kafka_message import Message
from bus.settings import LocalBusSettings
from bus.sqlite_thread import SqliteThread

_VERSION = 1
_SLOTS = 64
_NAME = re.compile("[0-9a-f]{32}")

_SCHEMA = """CREATE TABLE msg(n INTEGER PRIMARY KEY, topic TEXT NOT NULL, part INTEGER NOT NULL,
    id TEXT NOT NULL, key BLOB NOT NULL, hdr BLOB NOT NULL, val BLOB NOT NULL,
    first INTEGER NOT NULL)"""


class Outbox:
    """A queue of messages in one SQLite file."""

    def __init__(self, file: SqliteThread, name: str) -> None:
        self._file = file
        self.name = name
        """What no other living process is called, and the next that takes this file over is."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path, size_max_bytes: int) -> AsyncIterator[Outbox]:
        """Open the first outbox in `folder` that no living process has.

        Raises:
            BusError: it cannot be opened.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            path = _free_slot(folder, stack)
            name = _lasting_name(path.with_suffix(".id"))
            file = SqliteThread(path, LocalBusSettings(size_max_bytes=size_max_bytes))
            await file.start(_prepare)
            try:
                yield cls(file, name)
            finally:
                await file.close()

    async def add(self, messages: Sequence[Message]) -> None:
        """Append; durable on return. Calls take effect in the order in which they are made.

        Raises:
            BusFull: there is no space left.
        """
        rows = [
            (
                message.topic,
                message.partition,
                message.event_id,
                message.key,
                orjson.dumps([(name, text.decode()) for name, text in message.headers]),
                message.value,
                message.first,
            )
            for message in messages
        ]
        await self._file.write(
            lambda db: db.executemany(
                "INSERT INTO msg(topic, part, id, key, hdr, val, first) VALUES (?,?,?,?,?,?,?)",
                rows,
            )
        )

    async def first(self, limit: int) -> list[tuple[int, Message]]:
        """Return the oldest messages, each with its number."""

        def step(db: apsw.Connection) -> list[tuple[int, Message]]:
            return [
                (n, Message(topic, part, event_id, key, value, _headers(told), bool(first)))
                for n, topic, part, event_id, key, told, value, first in db.execute(
                    "SELECT n, topic, part, id, key, hdr, val, first FROM msg ORDER BY n LIMIT ?",
                    (limit,),
                )
            ]

        return await self._file.read(step)

    async def remove(self, numbers: Sequence[int]) -> None:
        """Remove messages that have been acknowledged."""
        await self._file.write(
            lambda db: db.executemany("DELETE FROM msg WHERE n=?", [(n,) for n in numbers])
        )

    async def count(self) -> int:
        """Return how many wait."""
        found: int = await self._file.read(lambda db: db.execute("SELECT count(*) FROM msg").get)
        return found


def _headers(told: bytes) -> list[tuple[str, bytes]]:
    return [(name, text.encode()) for name, text in orjson.loads(told)]


def _free_slot(folder: Path, stack: contextlib.ExitStack) -> Path:
    for n in range(_SLOTS):
        lock = (folder / f"outbox-{n}.lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        stack.callback(lock.close)
        return folder / f"outbox-{n}.db"
    raise BusError(f"{_SLOTS} processes have an outbox in {folder}; give them folders of their own")


def _lasting_name(path: Path) -> str:
    """Return what the file says, or write it at first; whoever asks holds the slot's lock."""
    try:
        with contextlib.suppress(FileNotFoundError):
            name = path.read_text("ascii", "replace")
            if _NAME.fullmatch(name):
                return name
        name = uuid.uuid4().hex
        draft = path.with_suffix(".new")
        with draft.open("w", encoding="ascii") as file:
            file.write(name)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise BusError(f"{path} cannot be read or written: {error}") from error
    return name


def _prepare(db: apsw.Connection) -> None:
    version = db.execute("PRAGMA user_version").get
    if version == 0:
        db.execute(_SCHEMA)
        db.execute(f"PRAGMA user_version={_VERSION}")
    elif version != _VERSION:
        raise BusError(f"the outbox has format {version}; this version knows {_VERSION}")
