"""A looped list of segments as a live HLS stream: what a server would answer at a given time.

Law: pure. Segment `n` of the stream is segment `n % count` of the list; it is listed once its
whole duration has passed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from typing import Literal

Kind = Literal["multivariant", "playlist", "vod", "segment", "init", "key"]

_SEGMENT = re.compile(r"^/segments/(\d{1,9})\.(?:ts|m4s)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginSegment:
    """One segment of the loop."""

    body: bytes
    duration_s: float
    init: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamShape:
    """How the stream is offered."""

    window: int = 8
    """Segments that the playlist lists."""
    listed_at_start: int = 3
    """Segments that are there when the stream begins."""
    dates: bool = True
    """Whether the playlist tells PROGRAM-DATE-TIME."""
    byte_ranges: bool = False
    """Whether all segments lie in one resource, told apart by ranges."""
    key: bytes | None = None
    """AES-128 key; the segments' bodies must be encrypted with it already, the IV by number."""
    first_seq: int = 0
    """Media sequence number of the stream's first segment."""
    width: int = 1280
    height: int = 720


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks for."""

    kind: Kind
    number: int = 0
    """Of the segment, from the stream's beginning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What it gets."""

    body: bytes
    content_type: str
    status: int = 200
    delay_s: float = 0.0
    cut: int = 0
    """Bytes of the announced body that never come."""


@dataclass(frozen=True, slots=True)
class LiveStream:
    """The loop, when it began, and how it is offered."""

    segments: Sequence[OriginSegment]
    began_s: float
    """Unix time of the stream's first frame."""
    shape: StreamShape = field(default_factory=StreamShape)

    @property
    def loop_s(self) -> float:
        """Length of the list."""
        return sum(segment.duration_s for segment in self.segments)

    def start_s(self, number: int) -> float:
        """Return the seconds from the stream's beginning to segment `number`."""
        loops, rest = divmod(number, len(self.segments))
        return loops * self.loop_s + sum(s.duration_s for s in self.segments[:rest])

    def listed(self, now_s: float) -> int:
        """Return how many segments have been listed by now, those that slid out included."""
        passed_s = now_s - self.began_s + 1e-6
        if passed_s < 0:
            return 0
        loops = int(passed_s // self.loop_s)
        ends = accumulate(s.duration_s for s in self.segments)
        rest_s = passed_s - loops * self.loop_s
        return loops * len(self.segments) + sum(1 for end_s in ends if end_s <= rest_s)

    def asked(self, path: str) -> Asked | None:
        """Return what a path names, None when it names nothing."""
        known: dict[str, Kind] = {
            "/live.m3u8": "multivariant",
            "/media.m3u8": "playlist",
            "/vod.m3u8": "vod",
            "/init.mp4": "init",
            "/key": "key",
        }
        if path in known:
            return Asked(known[path])
        match = _SEGMENT.match(path)
        return None if match is None else Asked("segment", int(match.group(1)))

    def reply(self, asked: Asked, now_s: float) -> Reply:
        """Return the stream's answer at Unix time `now_s`."""
        match asked.kind:
            case "multivariant":
                return _playlist(self._multivariant())
            case "playlist":
                return _playlist(self._media(now_s))
            case "vod":
                return _playlist(self._vod())
            case "init":
                init = self.segments[0].init
                return _missing() if init is None else Reply(body=init, content_type="video/mp4")
            case "key":
                key = self.shape.key
                kind = "application/octet-stream"
                return _missing() if key is None else Reply(body=key, content_type=kind)
            case "segment":
                return self._segment(asked.number, now_s)

    def _segment(self, number: int, now_s: float) -> Reply:
        in_list = number < len(self.segments)
        if not in_list and number >= self.listed(now_s):
            return _missing()
        if self.shape.byte_ranges:
            whole = b"".join(segment.body for segment in self.segments)
            return Reply(body=whole, content_type=self._media_type)
        segment = self.segments[number % len(self.segments)]
        return Reply(body=segment.body, content_type=self._media_type)

    @property
    def _media_type(self) -> str:
        return "video/mp2t" if self.segments[0].init is None else "video/mp4"

    def _multivariant(self) -> list[str]:
        shape = self.shape
        size_bits = 8 * sum(len(segment.body) for segment in self.segments)
        bandwidth = int(size_bits / self.loop_s)
        return [
            "#EXTM3U",
            f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={shape.width}x{shape.height}",
            "media.m3u8",
        ]

    def _media(self, now_s: float) -> list[str]:
        until = self.listed(now_s)
        first = max(0, until - self.shape.window)
        return [*self._head(first), *self._entries(range(first, until))]

    def _vod(self) -> list[str]:
        numbers = range(len(self.segments))
        return [
            *self._head(0),
            "#EXT-X-PLAYLIST-TYPE:VOD",
            *self._entries(numbers),
            "#EXT-X-ENDLIST",
        ]

    def _head(self, first: int) -> list[str]:
        target_s = max(segment.duration_s for segment in self.segments)
        head = [
            "#EXTM3U",
            "#EXT-X-VERSION:7",
            f"#EXT-X-TARGETDURATION:{-(-target_s // 1):.0f}",
            f"#EXT-X-MEDIA-SEQUENCE:{self.shape.first_seq + first}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{first // len(self.segments)}",
        ]
        if self.shape.key is not None:
            head.append('#EXT-X-KEY:METHOD=AES-128,URI="key"')
        if self.segments[0].init is not None:
            head.append('#EXT-X-MAP:URI="init.mp4"')
        return head

    def _entries(self, numbers: range) -> list[str]:
        lines: list[str] = []
        suffix = "ts" if self.segments[0].init is None else "m4s"
        for number in numbers:
            place = number % len(self.segments)
            segment = self.segments[place]
            if place == 0 and number > 0:
                lines.append("#EXT-X-DISCONTINUITY")
            if self.shape.dates:
                date = datetime.fromtimestamp(self.began_s + self.start_s(number), UTC)
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date.isoformat(timespec='milliseconds')}")
            lines.append(f"#EXTINF:{segment.duration_s:.6f},live")
            if self.shape.byte_ranges:
                offset = sum(len(s.body) for s in self.segments[:place])
                lines.append(f"#EXT-X-BYTERANGE:{len(segment.body)}@{offset}")
                lines.append(f"segments/0.{suffix}")
            else:
                lines.append(f"segments/{number}.{suffix}")
        return lines


def _playlist(lines: list[str]) -> Reply:
    text = "\n".join(lines) + "\n"
    return Reply(body=text.encode(), content_type="application/vnd.apple.mpegurl")


def _missing() -> Reply:
    return Reply(body=b"not found", content_type="text/plain", status=404)
