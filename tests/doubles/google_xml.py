"""Google's XML API, which obstore speaks, before fake-gcs-server, which knows a part of it.

fake-gcs-server keeps the objects and answers GET and HEAD itself. What it lacks and Google
documents is here, on the server's JSON API: PUT and DELETE of an object, uploads in parts, lists in
pages, ETags, errors by name, and a look at who asks.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web
from yarl import URL

from tests.doubles.google_keys import ServiceAccount

PART_BYTES_MIN = 5 * 1024 * 1024
"""Each part but the last is at least so large."""
_HOP = frozenset(
    {"connection", "content-length", "transfer-encoding", "keep-alive", "date", "host"}
)


class Refused(Exception):
    """An answer that Google gives with an error's name."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass
class _Upload:
    """An upload in parts that is under way."""

    bucket: str
    key: str
    kind: str
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class GoogleXml:
    """Answers as Google does, from the objects of a server at `server`."""

    server: str
    account: ServiceAccount
    page_keys_max: int = 1000
    """A list's page holds at most so many keys."""
    uploads: dict[str, _Upload] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def app(self) -> web.Application:
        """Return the application that answers."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.cleanup_ctx.append(self._connected)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _connected(self, app: web.Application) -> Any:
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            yield

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            self._check(request)
            return await self._obey(request)
        except Refused as error:
            return _xml(f"<Error><Code>{error.code}</Code></Error>", error.status)

    def _check(self, request: web.Request) -> None:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        path = request.rel_url.raw_path
        if "X-Goog-Signature" in request.query:
            if not self.account.has_signed(request.method, path, request.query):
                raise Refused(403, "SignatureDoesNotMatch")
        elif not self.account.is_ours(bearer):
            raise Refused(401, "AuthenticationRequired")

    async def _obey(self, request: web.Request) -> web.Response:
        bucket, _, key = unquote(request.rel_url.raw_path).lstrip("/").partition("/")
        method, query = request.method, request.query
        if not key and method == "GET":
            return await self._list(bucket, query)
        if method == "POST" and "uploads" in query:
            return await self._begin(request, bucket, key)
        if "uploadId" in query:
            return await self._go_on(request, bucket, key)
        if method == "PUT":
            return await self._put(bucket, key, request.headers, await request.read())
        if method == "DELETE":
            return await self._delete(bucket, key)
        return await self._pass(request, bucket)

    async def _pass(self, request: web.Request, bucket: str) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        address = URL(f"{self.server}{request.raw_path}", encoded=True)
        async with self._session.request(request.method, address, headers=headers) as found:
            data = await found.read()
            told = {k: v for k, v in found.headers.items() if k.lower() not in _HOP}
            if found.status == 404:
                raise await self._missing(bucket)
        _, _, md5 = told.get("X-Goog-Hash", "").partition("md5=")
        told["ETag"] = f'"{base64.b64decode(md5).hex()}"'
        if request.method == "HEAD":
            told["Content-Length"] = found.headers.get("Content-Length", "0")
            return web.Response(status=found.status, headers=told)
        return web.Response(status=found.status, headers=told, body=data)

    async def _delete(self, bucket: str, key: str) -> web.Response:
        place = f"{self.server}/storage/v1/b/{quote(bucket)}/o/{quote(key, safe='')}"
        async with self._session.delete(URL(place, encoded=True)) as found:
            if found.status == 404:
                raise await self._missing(bucket)
        return web.Response(status=204)

    async def _missing(self, bucket: str) -> Refused:
        async with self._session.get(f"{self.server}/storage/v1/b/{quote(bucket)}") as found:
            return Refused(404, "NoSuchBucket" if found.status == 404 else "NoSuchKey")

    async def _put(
        self, bucket: str, key: str, headers: Mapping[str, str], data: bytes
    ) -> web.Response:
        async with self._session.post(
            f"{self.server}/upload/storage/v1/b/{quote(bucket)}/o",
            params={"uploadType": "media", "name": key},
            headers={"Content-Type": headers.get("Content-Type", "application/octet-stream")},
            data=io.BytesIO(data),
        ) as found:
            if found.status == 404:
                raise await self._missing(bucket)
            told = await found.json()
        return web.Response(
            headers={
                "ETag": _etag(data),
                "x-goog-generation": str(told["generation"]),
                "x-goog-hash": f"crc32c={told['crc32c']},md5={told['md5Hash']}",
            }
        )

    async def _list(self, bucket: str, query: Mapping[str, str]) -> web.Response:
        prefix = query.get("prefix", "")
        async with self._session.get(
            f"{self.server}/storage/v1/b/{quote(bucket)}/o", params={"prefix": prefix}
        ) as found:
            if found.status == 404:
                raise Refused(404, "NoSuchBucket")
            items = (await found.json()).get("items", [])
        after = query.get("continuation-token") or query.get("start-after", "")
        rest = sorted(
            (item for item in items if item["name"] > after), key=lambda item: item["name"]
        )
        size = min(int(query.get("max-keys", self.page_keys_max)), self.page_keys_max)
        page = rest[:size]
        more = len(rest) > size
        after = escape(page[-1]["name"]) if more else ""
        token = f"<NextContinuationToken>{after}</NextContinuationToken>" if more else ""
        return _xml(
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{''.join(map(_contents, page))}</ListBucketResult>"
        )

    async def _begin(self, request: web.Request, bucket: str, key: str) -> web.Response:
        async with self._session.get(f"{self.server}/storage/v1/b/{quote(bucket)}") as found:
            if found.status == 404:
                raise Refused(404, "NoSuchBucket")
        number = f"upload-{next(self._numbers)}"
        kind = request.headers.get("Content-Type", "application/octet-stream")
        self.uploads[number] = _Upload(bucket, key, kind)
        return _xml(
            f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key>"
            f"<UploadId>{number}</UploadId></InitiateMultipartUploadResult>"
        )

    async def _go_on(self, request: web.Request, bucket: str, key: str) -> web.Response:
        number = request.query["uploadId"]
        upload = self.uploads.get(number)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise Refused(404, "NoSuchUpload")
        if request.method == "PUT":
            data = await request.read()
            upload.parts[int(request.query["partNumber"])] = data
            return web.Response(headers={"ETag": _etag(data)})
        if request.method == "DELETE":
            del self.uploads[number]
            return web.Response(status=204)
        whole = _whole(upload, await request.text())
        put = await self._put(bucket, key, {"Content-Type": upload.kind}, whole)
        # Once it is there nobody knows the upload any more.
        self.uploads.pop(number, None)
        return _xml(
            f"<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key>"
            f"<ETag>{escape(put.headers['ETag'])}</ETag></CompleteMultipartUploadResult>"
        )


def _whole(upload: _Upload, asked: str) -> bytes:
    """Return the object that the parts make, as the order to complete it names them."""
    named = [
        (int(part.findtext("PartNumber", "0")), part.findtext("ETag", "").strip('"'))
        for part in ElementTree.fromstring(asked).iter("Part")
    ]
    if [number for number, _ in named] != sorted({number for number, _ in named}):
        raise Refused(400, "InvalidPartOrder")
    parts = [upload.parts.get(number) for number, _ in named]
    found = [part for part in parts if part is not None]
    if len(found) != len(named) or any(
        _etag(part) != f'"{etag}"' for part, (_, etag) in zip(found, named, strict=True)
    ):
        raise Refused(400, "InvalidPart")
    if any(len(part) < PART_BYTES_MIN for part in found[:-1]):
        raise Refused(400, "EntityTooSmall")
    return b"".join(found)


def _contents(item: Mapping[str, Any]) -> str:
    return (
        f"<Contents><Key>{escape(item['name'])}</Key><Generation>{item['generation']}</Generation>"
        f"<LastModified>{item['updated']}</LastModified><ETag>{escape(item['etag'])}</ETag>"
        f"<Size>{item['size']}</Size></Contents>"
    )


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _xml(body: str, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        text=f"<?xml version='1.0' encoding='UTF-8'?>{body}",
        content_type="application/xml",
    )
