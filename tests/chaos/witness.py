"""Notes in a file what a worker was told to be durable, as a customer would who keeps receipts.

Law: a line is written after the bus or the object store has said yes and before the worker goes on,
so that what is noted was acked, whoever is killed when.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from bus.events import Event
from bus.kafka import KafkaBus
from bus.local import LocalBus
from store.obstore_objects import ObstoreObjects

NOTED = ("clipthat.moment.detected.v1", "clipthat.clip.planned.v1", "clipthat.clip.cut.v1")
"""Events whose receipts are kept: those that a customer would miss."""
WEIGHED = ".mp4"
"""Objects with this ending are weighed when they are stored: clips and outputs."""


def witness(path: Path) -> None:
    """Keep receipts of this process in a file that it only ever adds to."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for kind in _buses():
        kind.publish = _noting(kind.publish, file)
    store: Any = ObstoreObjects
    store.put = _weighing(store.put, file)


def _buses() -> list[Any]:
    return [LocalBus, KafkaBus]


def _noting(publish: Callable[..., Awaitable[None]], file: int) -> Callable[..., Awaitable[None]]:
    @wraps(publish)
    async def noted(self: Any, events: Sequence[Event]) -> None:
        await publish(self, events)
        told = [event.event_id for event in events if event.TYPE in NOTED]
        if told:
            os.write(file, "".join(f"{each}\n" for each in told).encode())

    return noted


def _weighing(put: Callable[..., Awaitable[None]], file: int) -> Callable[..., Awaitable[None]]:
    @wraps(put)
    async def weighed(self: Any, key: str, data: bytes | Path) -> None:
        if not key.endswith(WEIGHED):
            await put(self, key, data)
            return
        whole = data if isinstance(data, bytes) else await asyncio.to_thread(data.read_bytes)
        await put(self, key, data)
        os.write(file, f"object {time.time_ns()} {digest(whole)} {key}\n".encode())

    return weighed


def receipts(folder: Path) -> set[str]:
    """Return the ids of all events that were acked, by whatever process."""
    lines = (line for path in folder.glob("*.acked") for line in path.read_text().splitlines())
    return {line for line in lines if not line.startswith("object ")}


def stored(folder: Path) -> dict[str, set[str]]:
    """Return the checksums of what was stored under each key, by whatever process."""
    found: dict[str, set[str]] = {}
    for path in folder.glob("*.acked"):
        for line in path.read_text().splitlines():
            if line.startswith("object "):
                _, _, told, key = line.split(" ", 3)
                found.setdefault(key, set()).add(told)
    return found


def digest(data: bytes) -> str:
    """Return the checksum by which objects are compared."""
    return hashlib.sha256(data).hexdigest()
