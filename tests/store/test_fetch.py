from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from yarl import URL

from store.errors import (
    FetchError,
    FetchRefused,
    FetchStatus,
    FetchTooLarge,
    FetchTruncated,
)
from store.fetch import Fetcher, refuse_downgrade
from store.settings import FetchSettings
from tests.store.web_server import body, moved, ranged, serve

LOOPBACK = FetchSettings(allow_private=True)


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(LOOPBACK) as fetcher:
        yield fetcher


async def get(fetcher: Fetcher, url: str, max_bytes: int = 1_000_000) -> bytes:
    return (await fetcher.get(url, max_bytes=max_bytes, timeout_s=10.0)).body


async def test_a_body_comes_whole_with_its_headers(fetcher: Fetcher) -> None:
    async with serve({"/a": body(b"x" * 300_000)}) as server:
        fetched = await fetcher.get(f"{server}/a?t=1", max_bytes=300_000, timeout_s=10.0)
    assert fetched.body == b"x" * 300_000
    assert fetched.url == f"{server}/a?t=1"
    assert fetched.status == 200
    assert fetched.headers["content-length"] == "300000"


async def test_request_headers_are_sent(fetcher: Fetcher) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        told = request.headers
        return web.Response(text=f"{told['X-Test']} {told['User-Agent']}")

    async with serve({"/a": answer}) as server:
        fetched = await fetcher.get(
            f"{server}/a", max_bytes=100, timeout_s=10.0, headers={"X-Test": "yes"}
        )
    assert fetched.body == b"yes clipthat/0.1"


async def test_a_range_is_a_part_of_the_body(fetcher: Fetcher) -> None:
    content = bytes(range(200))
    async with serve({"/ranged": ranged(content), "/plain": body(content)}) as server:
        for path in ("ranged", "plain"):
            url = f"{server}/{path}"
            for offset, length, wanted in (
                (10, 20, content[10:30]),
                (0, 5, content[:5]),
                (None, 7, content[:7]),
                (150, None, content[150:]),
                (0, 200, content),
            ):
                fetched = await fetcher.get(
                    url, max_bytes=200, timeout_s=10.0, offset=offset, length=length
                )
                assert fetched.body == wanted


async def test_a_range_that_is_not_all_there_is_truncated(fetcher: Fetcher) -> None:
    async with serve({"/a": ranged(b"x" * 100), "/b": body(b"x" * 100)}) as server:
        for path in ("a", "b"):
            with pytest.raises(FetchTruncated):
                await fetcher.get(
                    f"{server}/{path}", max_bytes=1000, timeout_s=10.0, offset=90, length=20
                )


async def test_another_range_than_the_one_asked_for_is_not_taken(fetcher: Fetcher) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        told = {"Content-Range": "bytes 0-9/100"}
        return web.Response(body=b"x" * 10, status=206, headers=told)

    async with serve({"/a": answer}) as server:
        with pytest.raises(FetchTruncated, match="bytes 0-9/100"):
            await fetcher.get(f"{server}/a", max_bytes=99, timeout_s=10.0, offset=50, length=10)


async def test_an_error_status_is_told_without_the_query(fetcher: Fetcher) -> None:
    async with serve({"/a": body(b"no", status=503)}) as server:
        with pytest.raises(FetchStatus) as caught:
            await get(fetcher, f"{server}/a?token=secret")
    assert caught.value.status == 503
    assert str(caught.value) == f"{server}/a answered 503"


async def test_an_error_keeps_the_beginning_of_what_the_server_says(fetcher: Fetcher) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=403, body=b'[{"error_code":"no"}]' + b" " * 100_000)

    async with serve({"/a": answer}) as server:
        with pytest.raises(FetchStatus) as caught:
            await get(fetcher, f"{server}/a")
    assert caught.value.body.startswith(b'[{"error_code":"no"}]')
    assert len(caught.value.body) <= 4096


async def test_a_long_part_of_a_path_is_taken_for_a_token(fetcher: Fetcher) -> None:
    token = "CtsF" + "a1B2" * 40
    async with serve({}) as server:
        with pytest.raises(FetchStatus) as caught:
            await get(fetcher, f"{server}/v1/playlist/{token}.m3u8")
    assert "/v1/playlist/CtsFa1B2… answered 404" in str(caught.value)
    assert token not in str(caught.value)


async def test_a_body_above_the_limit_is_refused(fetcher: Fetcher) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    async with serve({"/told": body(b"x" * 1001), "/endless": endless}) as server:
        for path in ("told", "endless"):
            with pytest.raises(FetchTooLarge):
                await get(fetcher, f"{server}/{path}", max_bytes=1000)
        assert len(await get(fetcher, f"{server}/told", max_bytes=1001)) == 1001


async def test_a_body_that_ends_too_early_is_truncated(fetcher: Fetcher) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 400)
        assert request.transport is not None
        request.transport.close()
        return response

    async with serve({"/a": cut}) as server:
        with pytest.raises(FetchTruncated):
            await get(fetcher, f"{server}/a")


async def test_a_server_that_says_nothing_is_given_up(fetcher: Fetcher) -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serve({"/a": silent}) as server:
        with pytest.raises(FetchError, match=r"did not answer within 0\.1 s"):
            await fetcher.get(f"{server}/a", max_bytes=10, timeout_s=0.1)


async def test_a_port_where_nobody_listens_is_an_error(fetcher: Fetcher) -> None:
    async with serve({}) as server:
        pass
    with pytest.raises(FetchError, match="cannot be read"):
        await get(fetcher, f"{server}/a")


async def test_redirects_are_followed_to_the_end(fetcher: Fetcher) -> None:
    answers = {"/a": moved("/b"), "/b": moved("c", 308), "/c": body(b"here")}
    async with serve(answers) as server:
        fetched = await fetcher.get(f"{server}/a", max_bytes=10, timeout_s=10.0)
        assert fetched.url == f"{server}/c"
    assert fetched.body == b"here"


async def test_redirects_without_end_are_given_up(fetcher: Fetcher) -> None:
    async with serve({"/a": moved("/a")}) as server:
        with pytest.raises(FetchError, match="more than 5 times"):
            await get(fetcher, f"{server}/a")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "javascript:1"])
async def test_a_redirect_to_another_scheme_is_refused(fetcher: Fetcher, target: str) -> None:
    async with serve({"/a": moved(target)}) as server:
        with pytest.raises(FetchRefused):
            await get(fetcher, f"{server}/a")


async def test_secrets_do_not_follow_a_redirect_to_another_host(fetcher: Fetcher) -> None:
    async def tell(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.headers.get("Authorization", "none"))

    async with serve({"/tell": tell}) as other, serve({"/a": moved(f"{other}/tell")}) as server:
        fetched = await fetcher.get(
            f"{server}/a", max_bytes=99, timeout_s=10.0, headers={"Authorization": "Bearer x"}
        )
    assert fetched.body == b"none"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/x",
        "//example.com/x",
        "nothing",
        "",
        "http://",
        "http://127.0.0.1/x",
        "http://2130706433/x",
        "http://127.1/x",
        "http://0.0.0.0/x",
        "http://10.1.2.3/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://[fe80::1]/x",
        "http://localhost/x",
    ],
)
async def test_addresses_that_are_not_public_are_refused(url: str) -> None:
    async with Fetcher(FetchSettings()) as guarded:
        with pytest.raises(FetchRefused):
            await get(guarded, url)


async def test_a_name_is_refused_when_any_of_its_addresses_is_private(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(
        _: object, host: str, port: int = 0, family: int = 0
    ) -> list[dict[str, object]]:
        return [
            {"hostname": host, "host": each, "port": port, "family": 2, "proto": 0, "flags": 0}
            for each in ("8.8.8.8", "10.0.0.1")
        ]

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", resolve)
    async with Fetcher(FetchSettings()) as guarded:
        with pytest.raises(FetchRefused, match=r"two\.example is not on the public internet"):
            await get(guarded, "http://two.example/x")


async def test_a_redirect_into_the_private_network_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first address is let through here, as a public one would be; the redirect is not."""
    monkeypatch.setattr("store.fetch.is_public", lambda address: address != "10.0.0.1")
    answers = {"/a": moved("http://10.0.0.1/x")}
    async with serve(answers) as server, Fetcher(FetchSettings()) as guarded:
        with pytest.raises(FetchRefused, match=r"10\.0\.0\.1 is not on the public internet"):
            await get(guarded, f"{server}/a")


async def test_a_closed_fetcher_says_so() -> None:
    with pytest.raises(FetchError, match="not open"):
        await get(Fetcher(LOOPBACK), "http://127.0.0.1/x")


def test_a_redirect_may_not_leave_encryption_behind() -> None:
    with pytest.raises(FetchRefused, match="from https to http"):
        refuse_downgrade(URL("https://a.example/x?token=1"), URL("http://a.example/x"))
    refuse_downgrade(URL("http://a.example/x"), URL("https://a.example/x"))
    refuse_downgrade(URL("https://a.example/x"), URL("https://b.example/x"))
