"""A media playlist as facts: segments with their dates, ranges, keys, ads and gaps.

Law: a body that does not begin with `#EXTM3U` is no playlist, whatever else it holds; unknown
tags are passed over; a list that is longer than its limits is refused whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urljoin

from ingest.ads import AdSpan, mark_ads, read_ad_span
from ingest.attributes import (
    read_attributes,
    read_date,
    read_number,
    read_range,
    read_whole,
)
from ingest.errors import MalformedPlaylist
from ingest.multivariant import Multivariant, read_multivariant
from ingest.segment import InitSection, Key, Segment

TARGET_FALLBACK_S = 6.0
SEGMENT_S_MAX = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaylistLimits:
    """How large a stranger's playlist may be."""

    bytes_max: int = 8_000_000
    segments_max: int = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaPlaylist:
    """One reload of a media playlist."""

    target_s: float
    media_sequence: int
    discontinuity_sequence: int
    segments: tuple[Segment, ...]
    ended: bool
    """`#EXT-X-ENDLIST`: nothing will be added."""

    @property
    def last_seq(self) -> int:
        """Sequence number of the newest segment; one before the first when there is none."""
        return self.media_sequence + len(self.segments) - 1

    @property
    def duration_s(self) -> float:
        """Sum of all durations."""
        return sum(segment.duration_s for segment in self.segments)


def parse_playlist(
    body: bytes, base_uri: str, limits: PlaylistLimits
) -> Multivariant | MediaPlaylist:
    """Read a playlist; relative addresses are resolved against `base_uri`.

    Raises:
        MalformedPlaylist: the body is empty, too large, an error page or something else.
    """
    if len(body) > limits.bytes_max:
        raise MalformedPlaylist(f"the playlist is larger than {limits.bytes_max} bytes")
    text = body.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if not text:
        raise MalformedPlaylist("the playlist is empty")
    lines = [line.strip() for line in text.splitlines()]
    if not lines[0].startswith("#EXTM3U"):
        raise MalformedPlaylist(f"this is no playlist; it begins with {lines[0][:40]!r}")
    lines = [line for line in lines[1:] if line]
    if any(line.startswith("#EXT-X-STREAM-INF:") for line in lines):
        return read_multivariant(lines, base_uri)
    reader = _MediaReader(base_uri, limits)
    for line in lines:
        reader.read(line)
    return reader.finish()


class _MediaReader:
    """Folds the lines of a media playlist; tags hold until the segment that they stand before."""

    def __init__(self, base_uri: str, limits: PlaylistLimits) -> None:
        self._base_uri = base_uri
        self._limits = limits
        self._segments: list[Segment] = []
        self._spans: list[AdSpan] = []
        self._target_s: float | None = None
        self._media_sequence = 0
        self._disc_sequence = 0
        self._ended = False
        self._key: Key | None = None
        self._init: InitSection | None = None
        self._range_ends: dict[str, int] = {}
        self._last_date_s: float | None = None
        self._clear()

    def _clear(self) -> None:
        self._duration_s: float | None = None
        self._title = ""
        self._date_s: float | None = None
        self._discontinuity = False
        self._gap = False
        self._range: tuple[int, int | None] | None = None

    def read(self, line: str) -> None:
        """Take one line that is not blank."""
        if not line.startswith("#"):
            self._add(line)
            return
        tag, _, value = line.partition(":")
        tags = {
            "#EXTINF": self._extinf,
            "#EXT-X-TARGETDURATION": self._target,
            "#EXT-X-MEDIA-SEQUENCE": self._sequence,
            "#EXT-X-DISCONTINUITY-SEQUENCE": self._discontinuity_sequence,
            "#EXT-X-DISCONTINUITY": self._mark_discontinuity,
            "#EXT-X-PROGRAM-DATE-TIME": self._date,
            "#EXT-X-BYTERANGE": self._byterange,
            "#EXT-X-MAP": self._map,
            "#EXT-X-KEY": self._set_key,
            "#EXT-X-DATERANGE": self._daterange,
            "#EXT-X-GAP": self._mark_gap,
            "#EXT-X-ENDLIST": self._endlist,
        }
        handle = tags.get(tag)
        if handle is not None:
            handle(value)

    def finish(self) -> MediaPlaylist:
        """Return the whole playlist."""
        if self._target_s is None and not self._segments:
            raise MalformedPlaylist("the playlist has neither segments nor a target duration")
        longest_s = max((segment.duration_s for segment in self._segments), default=0.0)
        segments = mark_ads(self._with_earlier_dates(), self._spans)
        return MediaPlaylist(
            target_s=self._target_s or longest_s or TARGET_FALLBACK_S,
            media_sequence=self._media_sequence,
            discontinuity_sequence=self._disc_sequence,
            segments=tuple(segments),
            ended=self._ended,
        )

    def _add(self, uri: str) -> None:
        if self._duration_s is None:
            self._clear()
            return
        if len(self._segments) >= self._limits.segments_max:
            raise MalformedPlaylist(
                f"the playlist has more than {self._limits.segments_max} segments"
            )
        absolute = urljoin(self._base_uri, uri)
        offset, length = self._take_range(absolute)
        date_s = self._date_s
        if date_s is None and not self._discontinuity:
            date_s = self._last_date_s
        self._segments.append(
            Segment(
                seq=self._media_sequence + len(self._segments),
                uri=absolute,
                duration_s=self._duration_s,
                title=self._title,
                pdt_s=date_s,
                discontinuity=self._discontinuity,
                offset=offset,
                length=length,
                init=self._init,
                key=self._key,
                gap=self._gap,
            )
        )
        self._last_date_s = None if date_s is None else date_s + self._duration_s
        self._clear()

    def _take_range(self, uri: str) -> tuple[int | None, int | None]:
        if self._range is None:
            return None, None
        length, offset = self._range
        if offset is None:
            offset = self._range_ends.get(uri, 0)
        self._range_ends[uri] = offset + length
        return offset, length

    def _with_earlier_dates(self) -> list[Segment]:
        """Date the segments that stand before the first date of their continuous run."""
        dated = list(self._segments)
        for index in range(len(dated) - 2, -1, -1):
            after = dated[index + 1]
            if dated[index].pdt_s is None and after.pdt_s is not None and not after.discontinuity:
                start_s = after.pdt_s - dated[index].duration_s
                dated[index] = replace(dated[index], pdt_s=start_s)
        return dated

    def _extinf(self, value: str) -> None:
        number, _, title = value.partition(",")
        duration_s = read_number(number)
        if duration_s is not None and 0 <= duration_s <= SEGMENT_S_MAX:
            self._duration_s = duration_s
            self._title = title.strip()

    def _target(self, value: str) -> None:
        target_s = read_number(value)
        if target_s is not None and 0 < target_s <= SEGMENT_S_MAX:
            self._target_s = target_s

    def _sequence(self, value: str) -> None:
        number = read_whole(value)
        if number is not None and not self._segments:
            self._media_sequence = number

    def _discontinuity_sequence(self, value: str) -> None:
        number = read_whole(value)
        if number is not None and not self._segments:
            self._disc_sequence = number

    def _mark_discontinuity(self, value: str) -> None:
        self._discontinuity = True

    def _date(self, value: str) -> None:
        self._date_s = read_date(value)

    def _byterange(self, value: str) -> None:
        self._range = read_range(value.strip().strip('"'))

    def _map(self, value: str) -> None:
        attributes = read_attributes(value)
        if "URI" not in attributes:
            return
        span = read_range(attributes.get("BYTERANGE", ""))
        self._init = InitSection(
            uri=urljoin(self._base_uri, attributes["URI"]),
            offset=None if span is None else span[1] or 0,
            length=None if span is None else span[0],
            key=self._key,
        )

    def _set_key(self, value: str) -> None:
        attributes = read_attributes(value)
        method = attributes.get("METHOD", "NONE").upper()
        if method == "NONE":
            self._key = None
            return
        uri = attributes.get("URI")
        self._key = Key(
            method=method,
            uri=None if uri is None else urljoin(self._base_uri, uri),
            iv_hex=attributes.get("IV", "").lower().removeprefix("0x") or None,
            key_format=attributes.get("KEYFORMAT", "identity"),
        )

    def _daterange(self, value: str) -> None:
        span = read_ad_span(read_attributes(value))
        if span is not None:
            self._spans.append(span)

    def _mark_gap(self, value: str) -> None:
        self._gap = True

    def _endlist(self, value: str) -> None:
        self._ended = True
