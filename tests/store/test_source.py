from __future__ import annotations

import pytest

from bus.events import SourceRef
from store.errors import DecryptionFailed, FetchTooLarge, StoreError
from store.fetch import Fetcher
from store.settings import FetchSettings
from store.source import SourceBytes, read_source
from tests.store.encrypt import encrypt_aes128
from tests.store.web_server import body, ranged, serve

KEY, IV = b"k" * 16, bytes(range(16))
LOOPBACK = FetchSettings(allow_private=True)


async def test_a_plain_segment_is_read() -> None:
    async with serve({"/1.ts": body(b"media")}) as server, Fetcher(LOOPBACK) as fetcher:
        ref = SourceRef(kind="hls", uri=f"{server}/1.ts")
        assert await read_source(ref, fetcher) == SourceBytes(init=None, body=b"media")


async def test_ranges_of_one_file_give_init_and_segment() -> None:
    async with serve({"/all.mp4": ranged(b"iiiibbbbbbcc")}) as server, Fetcher(LOOPBACK) as fetcher:
        url = f"{server}/all.mp4"
        ref = SourceRef(
            kind="hls",
            uri=url,
            offset=4,
            length=6,
            init_uri=url,
            init_offset=0,
            init_length=4,
        )
        assert await read_source(ref, fetcher) == SourceBytes(init=b"iiii", body=b"bbbbbb")


async def test_an_encrypted_segment_is_read_in_the_clear() -> None:
    answers = {
        "/1.ts": body(encrypt_aes128(b"media", KEY, IV)),
        "/key": body(KEY),
        "/other": body(b"o" * 16),
        "/page": body(b"<html>not a key at all</html>"),
    }
    async with serve(answers) as server, Fetcher(LOOPBACK) as fetcher:

        def ref(key: str, iv_hex: str | None) -> SourceRef:
            return SourceRef(
                kind="hls", uri=f"{server}/1.ts", key_uri=f"{server}{key}", iv_hex=iv_hex
            )

        assert (await read_source(ref("/key", IV.hex()), fetcher)).body == b"media"
        for key, iv_hex in (("/other", IV.hex()), ("/key", None), ("/key", "zz")):
            with pytest.raises(DecryptionFailed):
                await read_source(ref(key, iv_hex), fetcher)
        with pytest.raises(FetchTooLarge):
            await read_source(ref("/page", IV.hex()), fetcher)


async def test_a_file_is_not_read_over_the_network() -> None:
    async with Fetcher(LOOPBACK) as fetcher:
        with pytest.raises(StoreError):
            await read_source(SourceRef(kind="file", uri="/x.mp4", start_s=0, end_s=1), fetcher)
