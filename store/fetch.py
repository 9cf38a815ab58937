"""Guarded HTTP: the only way in which the service reads from addresses that people give.

Law: a name is resolved once, all its addresses are checked, and the connection goes to one of
those; every redirect is checked as if a person had written it; every body and wait has a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from socket import AF_INET, AddressFamily
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from store.addresses import is_address, is_public
from store.errors import (
    FetchError,
    FetchRefused,
    FetchStatus,
    FetchTooLarge,
    FetchTruncated,
)
from store.settings import FetchSettings

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PIECE_BYTES = 256 * 1024
_SAID_BYTES = 4096
"""So much of an error's body is kept."""
_PART_SHOWN = 48
"""A longer part of a path is taken for a token, and never shown whole."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole body and where it really came from."""

    body: bytes
    url: str
    """After all redirects."""
    status: int
    headers: Mapping[str, str]
    """Case does not matter in a look-up."""


@dataclass(frozen=True, slots=True)
class _Span:
    """The bytes of a resource that are wanted."""

    offset: int
    length: int | None

    @property
    def header(self) -> str:
        end = "" if self.length is None else str(self.offset + self.length - 1)
        return f"bytes={self.offset}-{end}"


class Fetcher:
    """Reads from HTTP servers for as long as its context is open."""

    def __init__(self, settings: FetchSettings) -> None:
        self.settings = settings
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Fetcher:
        settings = self.settings
        connector = aiohttp.TCPConnector(
            resolver=_GuardedResolver(settings.allow_private),
            limit=settings.connections_max,
            limit_per_host=settings.connections_per_host_max,
            ttl_dns_cache=round(settings.resolved_for_s),
        )
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": settings.user_agent, "Accept-Encoding": "identity"},
                trust_env=False,
            )
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session = None
        await self._stack.aclose()

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_s: float,
        offset: int | None = None,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fetched:
        """Read a resource, or a byte range of it, whole.

        Args:
            url: http or https.
            max_bytes: the largest body that is taken.
            timeout_s: for everything, redirects included.
            offset: first byte of the range; from the beginning when only `length` is given.
            length: bytes in the range; to the end when only `offset` is given.
            headers: further request headers.

        Raises:
            FetchRefused: a scheme, an address or a redirect that is not allowed.
            FetchStatus: the server answered with an error.
            FetchTooLarge: the body is larger than `max_bytes`.
            FetchTruncated: the body ended too early, or the range is not all there.
            FetchError: no answer in time, or no connection.
        """
        span = None if offset is None and length is None else _Span(offset or 0, length)
        shown = _shown(url)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(url, max_bytes, span, dict(headers or {}))
        except aiohttp.ConnectionTimeoutError as error:
            wait_s = self.settings.connect_timeout_s
            raise FetchError(f"{shown} took no connection within {wait_s:g} s") from error
        except TimeoutError as error:
            raise FetchError(f"{shown} did not answer within {timeout_s:g} s") from error
        except aiohttp.ClientPayloadError as error:
            raise FetchTruncated(f"{shown} ended before its announced length") from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise FetchRefused(f"{shown} is no address that can be fetched") from error
        except (aiohttp.ClientError, OSError) as error:
            raise FetchError(f"{shown} cannot be read: {error}") from error

    async def _follow(
        self, url: str, max_bytes: int, span: _Span | None, headers: dict[str, str]
    ) -> Fetched:
        if self._session is None:
            raise FetchError("the fetcher is not open")
        if span is not None:
            headers["Range"] = span.header
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.settings.connect_timeout_s, sock_read=None
        )
        here = URL(url)
        for _ in range(self.settings.redirects_max + 1):
            self._check(here)
            async with self._session.get(
                here, headers=headers, allow_redirects=False, timeout=timeout
            ) as answer:
                if answer.status not in _REDIRECTS:
                    body = await _body(answer, max_bytes, span)
                    return Fetched(body, str(here), answer.status, answer.headers)
                there = _target(answer, here)
            refuse_downgrade(here, there)
            if here.origin() != there.origin():
                headers = {
                    name: value
                    for name, value in headers.items()
                    if name.lower() not in ("authorization", "cookie")
                }
            here = there
        raise FetchError(f"{_shown(url)} redirects more than {self.settings.redirects_max} times")

    def _check(self, url: URL) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise FetchRefused(f"{_shown(str(url))} is neither http nor https")
        if is_address(url.host):
            _refuse_private(url.host, url.host, self.settings.allow_private)


class _GuardedResolver(AbstractResolver):
    """Resolves names and refuses those with any address that is not public.

    The connector connects to the addresses that are returned here and asks nobody else, so a
    name that changes its answer between check and use gains nothing.
    """

    def __init__(self, allow_private: bool) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for result in found:
            _refuse_private(host, result["host"], self._allow_private)
        return found

    async def close(self) -> None:
        await self._inner.close()


def _refuse_private(host: str, address: str, allow_private: bool) -> None:
    if not allow_private and not is_public(address):
        raise FetchRefused(
            f"{host} is not on the public internet"
            " (fetch.allow_private opens private networks for tests)"
        )


def refuse_downgrade(here: URL, there: URL) -> None:
    """Refuse a redirect that would leave encryption behind.

    Raises:
        FetchRefused: from https to anything else.
    """
    if here.scheme == "https" and there.scheme != "https":
        raise FetchRefused(f"{_shown(str(here))} redirects from https to {there.scheme}")


def _target(answer: aiohttp.ClientResponse, here: URL) -> URL:
    location = answer.headers.get("Location")
    if not location:
        raise FetchError(f"{_shown(str(here))} redirects to nowhere")
    return here.join(URL(location))


async def _body(answer: aiohttp.ClientResponse, max_bytes: int, span: _Span | None) -> bytes:
    shown = _shown(str(answer.url))
    if answer.status not in (200, 206):
        raise FetchStatus(shown, answer.status, await _beginning(answer))
    wanted = span.length if span is not None else None
    skip = 0
    if span is not None and answer.status == 206:
        _check_range(answer, span)
    elif span is not None:
        # A server without ranges sends everything: what stands before the range is let go.
        skip = span.offset
    least = answer.content_length if wanted is None else skip + wanted
    if least is not None and least > max_bytes:
        raise FetchTooLarge(f"{shown} would send {least} bytes, more than {max_bytes}")
    body = bytearray()
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        dropped = min(skip, len(piece))
        skip -= dropped
        body += piece[dropped:]
        if wanted is not None and len(body) >= wanted:
            break
        if len(body) > max_bytes:
            raise FetchTooLarge(f"{shown} sends more than {max_bytes} bytes")
    if wanted is not None and len(body) < wanted:
        raise FetchTruncated(f"{shown} has {len(body)} of the {wanted} bytes of the range")
    return bytes(body[:wanted])


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """Return what an error's body begins with, empty when it does not come."""
    with contextlib.suppress(aiohttp.ClientError):
        return await answer.content.read(_SAID_BYTES)
    return b""


def _check_range(answer: aiohttp.ClientResponse, span: _Span) -> None:
    told = answer.headers.get("Content-Range", "")
    if not told.startswith(f"bytes {span.offset}-"):
        raise FetchTruncated(
            f"{_shown(str(answer.url))} sent the range {told[:60]!r}, not {span.header}"
        )


def _shown(url: str) -> str:
    """Return the address without its query and long parts, which often carry a secret."""
    plain = url.partition("?")[0].partition("#")[0]
    parts = [part if len(part) <= _PART_SHOWN else f"{part[:8]}…" for part in plain.split("/")]
    return "/".join(parts)[:200]
