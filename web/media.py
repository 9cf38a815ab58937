"""Media behind signed links, with ranges, so that a player can seek.

Law: nothing is given without a link that was made here, and memory does not grow with the object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from store.errors import ObjectMissing
from store.objects import Objects, local_path
from web.errors import LinkExpired, LinkForged, RangeUnsatisfiable
from web.ranges import ByteRange, parse_range
from web.site import Site

PIECE_BYTES = 1024 * 1024

_TYPES = {
    ".mp4": "video/mp4",
    ".jpg": "image/jpeg",
    ".vtt": "text/vtt; charset=utf-8",
    ".json": "application/json",
}
_DIRECT = frozenset({".mp4", ".jpg"})
"""What a page takes from another origin without asking it for leave; captions are not of it."""
_HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, max-age=3600",
    # Whatever an object holds, opened by itself it runs nothing.
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
}


@runtime_checkable
class RangedObjects(Protocol):
    """A store that is not on this machine and gives a part of an object."""

    async def size(self, key: str) -> int:
        """Return the object's size in bytes.

        Raises:
            ObjectMissing: there is none under this key.
        """
        ...

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to, but not with, `end`."""
        ...


@runtime_checkable
class SignedObjects(Protocol):
    """A store that gives an object itself to whoever has an address that it has signed."""

    async def signed(self, key: str) -> str | None:
        """Return such an address, good for some minutes; None where none is given."""
        ...


def media_routes(site: Site) -> APIRouter:
    """Return `/media/<key>`, which answers signed links only."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/media/{key:path}", methods=["GET", "HEAD"])
    async def media(key: str, request: Request, e: str = "", s: str = "") -> Response:
        try:
            site.signer.check(key, e, s, site.clock())
        except (LinkForged, LinkExpired) as error:
            raise HTTPException(403, str(error)) from error
        # The signature says that the link is ours; this says that the object is this tenant's.
        if not is_tenants_key(key, site.tenant_id):
            raise HTTPException(403, "this object belongs to somebody else")
        try:
            return await _elsewhere(site, key) or await _answer(site.objects, key, request)
        except ObjectMissing as error:
            raise HTTPException(404, "This file is not here any more.") from error

    return router


def is_tenants_key(key: str, tenant_id: str) -> bool:
    """Say whether the key lies under the tenant, with no step up on its way."""
    parts = key.split("/")
    return (
        parts[:2] == ["tenant", tenant_id]
        and not {"", ".", ".."} & set(parts)
        and "\\" not in key
        and "\0" not in key
    )


async def _elsewhere(site: Site, key: str) -> Response | None:
    """Send a browser to the bucket, where the pages' own rules let it take media from there."""
    origin = site.settings.media_origin.rstrip("/")
    direct = PurePosixPath(key).suffix in _DIRECT
    if not (origin and direct and isinstance(site.objects, SignedObjects)):
        return None
    address = await site.objects.signed(key)
    if address is None:
        return None
    parts = urlsplit(address)
    if f"{parts.scheme}://{parts.netloc}" != origin:
        return None
    return RedirectResponse(address, 307, {"Cache-Control": "no-store"})


async def _answer(objects: Objects, key: str, request: Request) -> Response:
    kind = _TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")
    path = local_path(objects, key)
    if path is not None:
        return FileResponse(path, media_type=kind, headers=_HEADERS)
    if isinstance(objects, RangedObjects):
        size, whole = await objects.size(key), None
    else:
        whole = await objects.get(key)
        size = len(whole)
    try:
        part = parse_range(request.headers.get("range"), size)
    except RangeUnsatisfiable as error:
        raise HTTPException(
            416, "The range lies behind the end.", {"Content-Range": f"bytes */{size}"}
        ) from error
    span = part or ByteRange(0, size)
    headers = {**_HEADERS, "Content-Length": str(span.length)}
    if part is not None:
        headers["Content-Range"] = part.content_range(size)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    if whole is not None:
        return Response(whole[span.start : span.end], status, headers, kind)
    assert isinstance(objects, RangedObjects)
    return StreamingResponse(_pieces(objects, key, span), status, headers, kind)


async def _pieces(objects: RangedObjects, key: str, span: ByteRange) -> AsyncIterator[bytes]:
    for start in range(span.start, span.end, PIECE_BYTES):
        yield await objects.get_range(key, start, min(start + PIECE_BYTES, span.end))
