"""One listed segment: where its bytes lie and how they are locked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_MUTED = re.compile(r"-(?:un)?muted(\.(?:ts|mp4|m4s))\Z")
_AFTER_PATH = re.compile(r"(?=[?#])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """How a segment is encrypted."""

    method: str
    uri: str | None = None
    iv_hex: str | None = None
    """Initialisation vector; None: the segment's sequence number."""
    key_format: str = "identity"

    @property
    def supported(self) -> bool:
        """Whole-segment AES-128 with a key that lies open at its address."""
        return (
            self.method == "AES-128"
            and self.uri is not None
            and self.key_format.lower() == "identity"
            and (self.iv_hex is None or _is_hex_16(self.iv_hex))
        )

    def iv(self, seq: int) -> bytes:
        """Return the 16 bytes of the initialisation vector of segment `seq`."""
        if self.iv_hex is not None:
            return bytes.fromhex(self.iv_hex.rjust(32, "0"))
        return seq.to_bytes(16, "big")


def _is_hex_16(text: str) -> bool:
    return 0 < len(text) <= 32 and all(digit in "0123456789abcdef" for digit in text)


@dataclass(frozen=True, kw_only=True, slots=True)
class InitSection:
    """`#EXT-X-MAP`: what stands before each fMP4 segment."""

    uri: str
    offset: int | None = None
    length: int | None = None
    key: Key | None = None
    """The key that held where the tag stood; without its own IV an init cannot be decrypted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One entry of a media playlist."""

    seq: int
    uri: str
    """Absolute."""
    duration_s: float
    title: str = ""
    pdt_s: float | None = None
    """PROGRAM-DATE-TIME as Unix time, told or reckoned from a neighbour."""
    discontinuity: bool = False
    """`#EXT-X-DISCONTINUITY` stands before it."""
    offset: int | None = None
    length: int | None = None
    init: InitSection | None = None
    key: Key | None = None
    gap: bool = False
    """`#EXT-X-GAP`: listed, but not there."""
    ad: bool = False

    @property
    def path(self) -> str:
        """The address without its host, query and signature."""
        return urlsplit(self.uri).path

    @property
    def encrypted(self) -> bool:
        """Locked in a way that cannot be opened here (DRM, SAMPLE-AES)."""
        return self.key is not None and not self.key.supported

    @property
    def muted(self) -> bool:
        """A VOD segment whose sound was taken off."""
        return _MUTED.search(self.path) is not None

    @property
    def fetch_uri(self) -> str:
        """The address to read: a VOD lists `-unmuted.ts`, but only `-muted.ts` may be read."""
        path, *more = _AFTER_PATH.split(self.uri, maxsplit=1)
        return _MUTED.sub(r"-muted\1", path) + "".join(more)
