"""Reads a segment again from where it came from, after the ring has let it go."""

from __future__ import annotations

from dataclasses import dataclass

from bus.events import SourceRef
from store.aes import BLOCK_BYTES, decrypt_aes128
from store.errors import DecryptionFailed, StoreError
from store.fetch import Fetcher


@dataclass(frozen=True, slots=True)
class SourceBytes:
    """A segment's bytes, in the clear."""

    init: bytes | None
    """The initialisation section that stands before an fMP4 segment."""
    body: bytes


async def read_source(ref: SourceRef, fetcher: Fetcher) -> SourceBytes:
    """Return the segment that `ref` (kind `hls`) points at.

    Raises:
        FetchError: it cannot be read, and why.
        DecryptionFailed: its key does not fit.
        StoreError: `ref` is of another kind; a span of a file is read from the file.
    """
    if ref.kind != "hls":
        raise StoreError(f"a {ref.kind} source is not read over the network")
    settings = fetcher.settings
    fetched = await fetcher.get(
        ref.uri,
        max_bytes=settings.segment_max_bytes,
        timeout_s=settings.segment_timeout_s,
        offset=ref.offset,
        length=ref.length,
    )
    init = None
    if ref.init_uri is not None:
        section = await fetcher.get(
            ref.init_uri,
            max_bytes=settings.segment_max_bytes,
            timeout_s=settings.segment_timeout_s,
            offset=ref.init_offset,
            length=ref.init_length,
        )
        init = section.body
    body = fetched.body
    if ref.key_uri is not None:
        body = decrypt_aes128(body, await _key(ref.key_uri, fetcher), _iv(ref.iv_hex))
    return SourceBytes(init=init, body=body)


async def _key(uri: str, fetcher: Fetcher) -> bytes:
    answer = await fetcher.get(
        uri, max_bytes=BLOCK_BYTES, timeout_s=fetcher.settings.segment_timeout_s
    )
    return answer.body


def _iv(iv_hex: str | None) -> bytes:
    try:
        return bytes.fromhex(iv_hex or "")
    except ValueError as error:
        raise DecryptionFailed(f"{iv_hex!r} is no hexadecimal IV") from error
