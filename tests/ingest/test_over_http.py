"""The whole pull over a socket: origin, guarded fetcher, live and VOD."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from ingest.errors import SourceUnusable
from ingest.hls_live import HlsLive
from ingest.hls_vod import HlsVod
from ingest.settings import IngestSettings
from ingest.source import Source, SourceSegment
from ops.demo.live_stream import OriginSegment, StreamShape
from ops.demo.origin import LiveOrigin
from store.fetch import Fetcher
from store.settings import FetchSettings
from store.source import read_source
from tests.doubles.fake_timer import FakeTimer
from tests.hls_media import fmp4_segments, ts_segments

KEY = bytes(range(16))


def encrypted(segments: Sequence[OriginSegment]) -> list[OriginSegment]:
    locked = []
    for number, segment in enumerate(segments):
        padder = PKCS7(128).padder()
        plain = padder.update(segment.body) + padder.finalize()
        encryptor = Cipher(AES128(KEY), CBC(number.to_bytes(16, "big"))).encryptor()
        body = encryptor.update(plain) + encryptor.finalize()
        locked.append(OriginSegment(body=body, duration_s=segment.duration_s))
    return locked


async def take(source: Source, count: int) -> list[SourceSegment]:
    taken: list[SourceSegment] = []
    await source.describe()
    async with contextlib.aclosing(source.pull(None)) as pulls:
        async for pulled in pulls:
            if isinstance(pulled, SourceSegment):
                taken.append(pulled)
            if len(taken) == count:
                break
    return taken


@pytest.mark.parametrize("kind", ["ts", "fmp4", "ranges", "aes"])
async def test_a_vod_comes_whole_and_can_be_read_again(kind: str) -> None:
    plain = fmp4_segments() if kind == "fmp4" else ts_segments()
    served = encrypted(plain) if kind == "aes" else plain
    shape = StreamShape(key=KEY if kind == "aes" else None, byte_ranges=kind == "ranges")
    async with LiveOrigin(served, shape=shape) as origin, open_fetcher() as fetcher:
        taken = await take(HlsVod(origin.vod_url, fetcher, IngestSettings()), 4)
        assert [segment.body for segment in taken] == [segment.body for segment in plain]
        assert taken[0].init == plain[0].init
        for segment in taken:
            assert segment.source_ref is not None
            again = await read_source(segment.source_ref, fetcher)
            assert (again.body, again.init) == (segment.body, segment.init)


async def test_a_live_stream_comes_in_order() -> None:
    timer = FakeTimer(idle_s=0.01)
    async with (
        LiveOrigin(ts_segments(), clock=timer.now) as origin,
        open_fetcher() as fetcher,
    ):
        taken = await take(HlsLive(origin.live_url, fetcher, IngestSettings(), timer=timer), 12)
        assert [segment.seq for segment in taken] == list(range(12))
        for before, after in pairwise(taken):
            assert after.media_s == pytest.approx(before.end_s, abs=0.01)


async def test_a_private_address_is_refused() -> None:
    async with LiveOrigin(ts_segments()) as origin, Fetcher(FetchSettings()) as fetcher:
        with pytest.raises(SourceUnusable):
            await HlsLive(origin.live_url, fetcher, IngestSettings()).describe()


async def test_a_live_playlist_is_no_vod() -> None:
    async with LiveOrigin(ts_segments()) as origin, open_fetcher() as fetcher:
        with pytest.raises(SourceUnusable, match="still live"):
            await HlsVod(origin.live_url, fetcher, IngestSettings()).describe()


def open_fetcher() -> Fetcher:
    return Fetcher(FetchSettings(allow_private=True))
