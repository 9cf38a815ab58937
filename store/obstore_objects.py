"""Objects over obstore: a folder, memory, S3 and GCS by the same calls.

Law: an object becomes visible when it is whole; obstore writes a local one beside its place and
renames it, and a bucket shows one when its last part has come. What passes by itself (5xx, a lost
connection, an answer that stops or ends early) is tried again with growing pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import GCSStore, LocalStore, MemoryStore, ObjectStore, S3Store, from_url

from store.errors import ObjectMissing, StorageFull, StoreError, StoreUnavailable
from store.objects import NO_SPACE, ObjectInfo
from store.settings import ObjectsSettings

if TYPE_CHECKING:
    from obstore import Attributes

SCHEMES = ("file", "memory", "s3", "gs")

LINK_TTL_S_MAX = 900.0
"""No address that a bucket has signed is good for longer."""

_TYPES = {
    ".mp4": "video/mp4",
    ".jpg": "image/jpeg",
    ".vtt": "text/vtt; charset=utf-8",
    ".json": "application/json",
}
"""What a bucket says an object is, when a browser asks the bucket itself."""

_PUTS = 5
_WHOLE_S = 3600.0
_PIECE_BYTES = 4 * 1024 * 1024
_DELETES_AT_ONCE = 10
_NO_BUCKET = "the bucket is not there"
_RESERVED = re.compile(r"[]!#$&'()*+,:;=?@[\\^`{|}\"<>%]")
"""What Google signs encoded in an object's name, and obstore as it is."""
_OS_ERROR = re.compile(r"os error (\d+)")


def open_objects(url: str, settings: ObjectsSettings | None = None) -> ObstoreObjects:
    """Return the store that the URL names: `file:///folder`, `memory://`, `s3://…`, `gs://…`.

    A folder is made when it is not there; credentials of buckets come from the environment as
    their own tools read them.

    Raises:
        StoreError: the URL names no store of ours.
    """
    settings = settings or ObjectsSettings()
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return ObstoreObjects(MemoryStore(), None)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        if parts.netloc or not folder.is_absolute():
            raise StoreError(f"{url!r} names no folder; write file:///absolute/folder")
        with _told(url):
            return ObstoreObjects(LocalStore(folder, mkdir=True), folder)
    if parts.scheme in SCHEMES:
        with _told(url):
            return ObstoreObjects(_bucket(url, parts.scheme, settings), None, settings.link_ttl_s)
    raise StoreError(f"{url!r} is no store; it begins with one of {', '.join(SCHEMES)}")


def _bucket(url: str, scheme: str, settings: ObjectsSettings) -> ObjectStore:
    told: dict[str, Any] = {}
    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=settings.connect_timeout_s),
        "read_timeout": timedelta(seconds=settings.stall_s),
        # A large object may take long, as long as it keeps coming.
        "timeout": timedelta(seconds=_WHOLE_S),
    }
    if settings.endpoint_url:
        told["endpoint" if scheme == "s3" else "base_url"] = settings.endpoint_url
        client["allow_http"] = settings.endpoint_url.startswith("http://")
    if settings.region and scheme == "s3":
        told["region"] = settings.region
    options: dict[str, Any] = {
        "config": told or None,
        "client_options": client,
        "retry_config": {
            "max_retries": settings.retries_max,
            "backoff": {
                "init_backoff": timedelta(seconds=settings.retry_first_s),
                "max_backoff": timedelta(seconds=settings.retry_max_s),
                "base": 2,
            },
            "retry_timeout": timedelta(seconds=settings.retry_for_s),
        },
    }
    return from_url(url, **options)


class ObstoreObjects:
    """Implements store.objects.Objects, and gives paths and streams where that is possible."""

    def __init__(
        self, store: ObjectStore, folder: Path | None, link_ttl_s: float = LINK_TTL_S_MAX
    ) -> None:
        self._store = store
        self._folder = folder
        self._link_ttl = timedelta(seconds=min(link_ttl_s, LINK_TTL_S_MAX))

    async def put(self, key: str, data: bytes | Path) -> None:
        """Store an object; see store.objects.Objects. A file is read piece by piece."""
        if isinstance(data, Path) and not data.is_file():
            raise StoreError(f"{data} is not there to be stored as {key}")
        if self._folder is not None:
            with _told(key):
                await obstore.put_async(self._store, key, data)
            return
        kind = _TYPES.get(PurePosixPath(key).suffix)
        attributes: Attributes | None = None if kind is None else {"Content-Type": kind}
        for puts_left in range(_PUTS - 1, -1, -1):
            try:
                with _told(key):
                    await obstore.put_async(self._store, key, data, attributes=attributes)
                return
            except (StoreUnavailable, ObjectMissing) as error:
                # When the answer to an upload's last step was lost, nobody can say whether it was
                # obeyed, and then it is not known any more. The whole is put again, to the same
                # end.
                passes = isinstance(error.__cause__, GenericError | FileNotFoundError)
                lost = _no_bucket(error.__cause__)
                if lost or not passes or not puts_left:
                    reason = _NO_BUCKET if lost else str(error)
                    raise StoreUnavailable(f"{key}: {reason}") from error

    async def get(self, key: str) -> bytes:
        """Return an object's bytes; see store.objects.Objects."""
        with _told(key):
            found = await obstore.get_async(self._store, key)
            return (await found.bytes_async()).to_bytes()

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; see store.objects.Objects."""
        if not isinstance(self._store, LocalStore | GCSStore):
            await self._away("a delete", list(keys))
            return
        # A folder and GCS stop at the first one that is missing, so each goes alone.
        turns = asyncio.Semaphore(_DELETES_AT_ONCE)

        async def alone(key: str) -> None:
            async with turns:
                await self._away(key, key)

        # One that cannot be removed ends the call only when the others are done with.
        ends = await asyncio.gather(*(alone(key) for key in keys), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _away(self, name: str, keys: str | Sequence[str]) -> None:
        with _told(name):
            try:
                await obstore.delete_async(self._store, keys)
            except FileNotFoundError as error:
                if _no_bucket(error):
                    raise StoreUnavailable(f"{name}: {_NO_BUCKET}") from error

    async def list(self, prefix: str) -> Sequence[ObjectInfo]:
        """Return the objects in a folder; see store.objects.Objects."""
        with _told(prefix):
            found = await obstore.list(self._store, prefix.strip("/") or None).collect_async()
        return sorted(
            (ObjectInfo(meta["path"], meta["size"]) for meta in found), key=lambda info: info.key
        )

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes piece by piece; see store.objects.StreamedObjects."""
        with _told(key):
            found = await obstore.get_async(self._store, key)
            async for piece in found.stream(min_chunk_size=_PIECE_BYTES):
                yield bytes(piece)

    async def size(self, key: str) -> int:
        """Return an object's size in bytes; see web.media.RangedObjects."""
        with _told(key):
            return (await obstore.head_async(self._store, key))["size"]

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return a part of an object; see web.media.RangedObjects."""
        with _told(key):
            part = await obstore.get_range_async(self._store, key, start=start, end=end)
            return part.to_bytes()

    async def signed(self, key: str) -> str | None:
        """Return an address of the bucket's own that gives an object to whoever has it, for
        `link_ttl_s`; None where a store signs nothing, or not as its cloud wants it."""
        if not isinstance(self._store, S3Store | GCSStore):
            return None
        name = f"{self._store.prefix or ''}/{key}"
        if isinstance(self._store, GCSStore) and _RESERVED.search(name):
            return None
        with _told(key):
            return await obstore.sign_async(self._store, "GET", key, self._link_ttl)

    def path_of(self, key: str) -> Path | None:
        """Return where an object lies; see store.objects.LocalObjects."""
        if self._folder is None:
            return None
        if ".." in key.split("/") or key.startswith("/"):
            raise StoreError(f"{key!r} is no key")
        return self._folder / key


def _no_bucket(error: BaseException | None) -> bool:
    """Say whether a store has answered that there is no such bucket, by S3's and Google's name."""
    return "NoSuchBucket" in str(error)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Raise obstore's errors as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissing(f"there is no object {name}") from error
    except ValueError as error:
        raise StoreError(f"{name!r} is no key: {error}") from error
    except (BaseError, OSError) as error:
        # The first line says it; the rest is the client's own debug text.
        reason = str(error).partition("\n")[0]
        number = _OS_ERROR.search(str(error))
        if number is not None and int(number[1]) in NO_SPACE:
            raise StorageFull(f"no space is left for {name}; free some and run again") from error
        raise StoreUnavailable(f"{name}: {reason}") from error
