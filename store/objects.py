"""Objects behind one port: a local folder, memory, S3 or GCS by the same calls."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from store.errors import ObjectMissing, StorageFull

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers by which a system says that a file cannot grow."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A stored object's name and size."""

    key: str
    size_bytes: int


class Objects(Protocol):
    """A store of whole objects; a reader never sees half of one."""

    async def put(self, key: str, data: bytes | Path) -> None:
        """Store an object, replacing the one under the same key.

        Raises:
            StorageFull: no space is left.
        """
        ...

    async def get(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises:
            ObjectMissing: there is none under this key.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is not there is no error."""
        ...

    async def list(self, prefix: str) -> Sequence[ObjectInfo]:
        """Return the objects whose key begins with the folder `prefix`, in key order."""
        ...


@runtime_checkable
class LocalObjects(Protocol):
    """A store whose objects are files of this machine."""

    def path_of(self, key: str) -> Path | None:
        """Return where the object lies or would lie; None when the store is elsewhere."""
        ...


@runtime_checkable
class StreamedObjects(Protocol):
    """A store that gives an object piece by piece."""

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield the object's bytes.

        Raises:
            ObjectMissing: there is none under this key.
        """
        ...


def local_path(objects: Objects, key: str) -> Path | None:
    """Return the object's own file when the store is local, None when it is not.

    The file is to be read only, and may be replaced or removed at any time.

    Raises:
        ObjectMissing: the store is local and has none under this key.
    """
    path = objects.path_of(key) if isinstance(objects, LocalObjects) else None
    if path is not None and not path.is_file():
        raise ObjectMissing(f"there is no object {key}")
    return path


async def download(objects: Objects, key: str, path: Path) -> None:
    """Copy an object into a file, which appears under its name when it is whole.

    Folders are made as needed; memory use does not grow with the object.

    Raises:
        ObjectMissing: there is none under this key.
        StorageFull: the disk has no space left.
    """
    source = local_path(objects, key)
    try:
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as part:
            try:
                if source is not None:
                    await asyncio.to_thread(_copy, source, part.file)
                else:
                    async for piece in _pieces(objects, key):
                        await asyncio.to_thread(part.file.write, piece)
                part.file.flush()
                Path(part.name).chmod(0o644)
                Path(part.name).replace(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFull(f"no space is left for {path}; free some and run again") from error
        raise


def _copy(source: Path, target: IO[bytes]) -> None:
    try:
        with source.open("rb") as file:
            shutil.copyfileobj(file, target, 1024 * 1024)
    except FileNotFoundError as error:
        raise ObjectMissing(f"the object at {source} has just been removed") from error


async def _pieces(objects: Objects, key: str) -> AsyncIterator[bytes]:
    if isinstance(objects, StreamedObjects):
        async for piece in objects.stream(key):
            yield piece
    else:
        yield await objects.get(key)
