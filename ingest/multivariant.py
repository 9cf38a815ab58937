"""A multivariant playlist, and which of its variants is worth watching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

from ingest.attributes import read_attributes, read_number, read_whole

_VIDEO_CODECS = ("avc", "hvc", "hev", "vp0", "vp9", "av01", "dvh", "mp4v")
_AUDIO_ONLY_NAMES = ("audio_only", "audio only", "audio")
_SOURCE_NAMES = ("source", "chunked")
_PORTRAIT = "_portrait"


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
    source: bool = False
    """As the streamer sends it, not encoded again by the platform."""

    @property
    def audio_only(self) -> bool:
        """There is no picture in it."""
        if self.height or self.name.lower().endswith(_PORTRAIT):
            return False
        if self.name.lower() in _AUDIO_ONLY_NAMES:
            return True
        codecs = self.codecs.lower()
        return bool(codecs) and not any(codec in codecs for codec in _VIDEO_CODECS)

    @property
    def portrait(self) -> bool:
        """A second picture for phones, not the broadcast itself."""
        return self.name.lower().endswith(_PORTRAIT) or 0 < self.width < self.height

    def is_called(self, name: str) -> bool:
        """Tell whether a person means this one by `name`: `1080p60`, `720p`, `source`."""
        wanted = name.strip().lower()
        if wanted in _SOURCE_NAMES:
            return self.source and not self.portrait
        known = {self.name.lower()}
        if self.height and not self.portrait:
            known |= {f"{self.height}p", f"{self.height}p{round(self.fps)}"}
        return bool(wanted) and wanted in known


@dataclass(frozen=True, kw_only=True, slots=True)
class Multivariant:
    """All renditions, in the order of the playlist."""

    variants: tuple[Variant, ...]
    broadcast_id: str = ""
    """The platform's name for the broadcast; empty when it does not say."""


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
    return Multivariant(variants=tuple(variants), broadcast_id=_broadcast_id(lines))


def _broadcast_id(lines: list[str]) -> str:
    """Twitch names the broadcast in a tag of its own, or as session data."""
    for line in lines:
        tag, _, value = line.partition(":")
        if tag not in ("#EXT-X-TWITCH-INFO", "#EXT-X-SESSION-DATA"):
            continue
        attributes = read_attributes(value)
        if attributes.get("BROADCAST-ID"):
            return attributes["BROADCAST-ID"]
        if attributes.get("DATA-ID", "").upper() == "BROADCAST-ID":
            return attributes.get("VALUE", "")
    return ""


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
    if stream.get("IVS-GROUPS", "").lower() == "portrait" and not name.endswith(_PORTRAIT):
        name += _PORTRAIT
    return Variant(
        uri=uri,
        name=name,
        bandwidth=read_whole(stream.get("BANDWIDTH")) or 0,
        width=read_whole(width) or 0,
        height=read_whole(height) or 0,
        fps=read_number(stream.get("FRAME-RATE")) or 0.0,
        codecs=stream.get("CODECS", ""),
        audio_elsewhere=stream.get("AUDIO", "") in elsewhere and "AUDIO" in stream,
        source=stream.get("IVS-VARIANT-SOURCE", "").lower() == "source"
        or stream.get("VIDEO", "").lower() in _SOURCE_NAMES,
    )


def choose_variant(
    playlist: Multivariant, height_max: int | None, quality: Sequence[str] = ()
) -> Variant | None:
    """Return the best variant to watch, or None when there is none.

    The first of the names in `quality` that is offered; `best` is the highest picture. Else the
    highest picture up to `height_max`; when all are higher, the lowest. A portrait copy that is
    not asked for, a variant whose audio lies elsewhere and, last of all, audio alone come only
    when nothing else is there.
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

    for name in quality:
        if name.strip().lower() == "best":
            return choose_variant(playlist, None)
        called = [v for v in playlist.variants if v.is_called(name) and not v.audio_only]
        if called:
            return max(called, key=rank)
    return max(playlist.variants, key=rank, default=None)
