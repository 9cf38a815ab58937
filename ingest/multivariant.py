"""A multivariant playlist, and which of its variants is worth watching."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

from ingest.attributes import read_attributes, read_number, read_whole

_VIDEO_CODECS = ("avc", "hvc", "hev", "vp0", "vp9", "av01", "dvh", "mp4v")
_AUDIO_ONLY_NAMES = ("audio_only", "audio only", "audio")


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One rendition of the whole programme."""

    uri: str
    """Absolute."""
    name: str = ""
    bandwidth: int = 0
    """Bits a second."""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    codecs: str = ""
    audio_elsewhere: bool = False
    """Its audio comes in a playlist of its own."""

    @property
    def audio_only(self) -> bool:
        """There is no picture in it."""
        if self.height or self.name.lower().endswith("_portrait"):
            return False
        if self.name.lower() in _AUDIO_ONLY_NAMES:
            return True
        codecs = self.codecs.lower()
        return bool(codecs) and not any(codec in codecs for codec in _VIDEO_CODECS)

    @property
    def portrait(self) -> bool:
        """A second picture for phones, not the broadcast itself."""
        return self.name.lower().endswith("_portrait") or 0 < self.width < self.height


@dataclass(frozen=True, kw_only=True, slots=True)
class Multivariant:
    """All renditions, in the order of the playlist."""

    variants: tuple[Variant, ...]


def read_multivariant(lines: list[str], base_uri: str) -> Multivariant:
    """Read the lines of a multivariant playlist (without `#EXTM3U`)."""
    elsewhere: set[str] = set()
    names: dict[str, str] = {}
    for line in lines:
        if line.startswith("#EXT-X-MEDIA:"):
            media = read_attributes(line.partition(":")[2])
            group = media.get("GROUP-ID", "")
            if media.get("TYPE") == "AUDIO" and "URI" in media:
                elsewhere.add(group)
            if media.get("TYPE") == "VIDEO":
                names[group] = media.get("NAME", "")
    variants = []
    pending: dict[str, str] | None = None
    for line in lines:
        if line.startswith("#EXT-X-STREAM-INF:"):
            pending = read_attributes(line.partition(":")[2])
        elif not line.startswith("#") and pending is not None:
            variants.append(_variant(urljoin(base_uri, line), pending, names, elsewhere))
            pending = None
    return Multivariant(variants=tuple(variants))


def _variant(
    uri: str, stream: dict[str, str], names: dict[str, str], elsewhere: set[str]
) -> Variant:
    width, _, height = stream.get("RESOLUTION", "").lower().partition("x")
    name = (
        stream.get("STABLE-VARIANT-ID")
        or stream.get("IVS-NAME")
        or names.get(stream.get("VIDEO", ""))
        or stream.get("VIDEO", "")
    )
    return Variant(
        uri=uri,
        name=name,
        bandwidth=read_whole(stream.get("BANDWIDTH")) or 0,
        width=read_whole(width) or 0,
        height=read_whole(height) or 0,
        fps=read_number(stream.get("FRAME-RATE")) or 0.0,
        codecs=stream.get("CODECS", ""),
        audio_elsewhere=stream.get("AUDIO", "") in elsewhere and "AUDIO" in stream,
    )


def choose_variant(playlist: Multivariant, height_max: int | None) -> Variant | None:
    """Return the best variant to watch, or None when there is none.

    The highest picture up to `height_max`; when all are higher, the lowest. A portrait copy, a
    variant whose audio lies elsewhere and, last of all, audio alone come only when nothing else
    is there.
    """

    def rank(variant: Variant) -> tuple[bool, bool, bool, bool, int, float, int]:
        too_high = height_max is not None and variant.height > height_max
        return (
            not variant.audio_only,
            not variant.portrait,
            not variant.audio_elsewhere,
            not too_high,
            -variant.height if too_high else variant.height,
            variant.fps,
            variant.bandwidth,
        )

    return max(playlist.variants, key=rank, default=None)
