"""What a source of media gives: segments, gaps and an end, in order and without a hole.

Law: a source yields spans that follow each other on the media clock (each begins where the one
before ended, within a frame or so), under (epoch, seq) pairs that never repeat in a session. It
says what it lost; it never skips silently.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from bus.events import Container, MissingReason, SessionKind, SourceRef


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo:
    """What is known about a source before its first segment."""

    kind: SessionKind
    title: str
    source: str
    """The address or path as a person wrote it."""
    broadcast_id: str
    """Names one broadcast, VOD or file: the same thing opened again has the same id."""
    broadcast_named: bool = False
    """The platform has named the live broadcast: it keeps its id through outages."""
    duration_s: float | None = None
    wall_start_s: float | None = None
    """Unix time of media second zero."""
    has_audio: bool | None = None
    has_video: bool | None = None
    over: bool = False
    """A live stream has ended already: nothing will come after what is listed."""
    vod_start_s: float = 0.0
    """Where media second zero stands in the whole VOD or file; `duration_s` counts from there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSegment:
    """One whole segment with its bytes; fields as in `SegmentStored`."""

    epoch: int
    seq: int
    disc: int
    media_s: float
    duration_s: float
    container: Container
    body: bytes
    init: bytes | None = None
    pts_s: float | None = None
    pdt_s: float | None = None
    sense_only: bool = False
    source_ref: SourceRef | None = None
    muted: bool = False

    @property
    def end_s(self) -> float:
        """Media time at which the segment ends."""
        return self.media_s + self.duration_s


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceGap:
    """A span of media time for which there are no bytes."""

    epoch: int
    seq: int
    media_s: float
    duration_s: float
    reason: MissingReason
    detail: str = ""

    @property
    def end_s(self) -> float:
        """Media time at which the gap ends."""
        return self.media_s + self.duration_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """Something a person should know; becomes `ChannelDegraded`."""

    reason: str
    detail: str
    media_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceEnd:
    """Nothing more will come: the source said so, or it did not come back."""

    reason: Literal["ended", "lost"] = "ended"


Pulled = SourceSegment | SourceGap | Notice | SourceEnd


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume:
    """Where an earlier run of the same session stopped, as its events tell."""

    epoch: int
    seq: int
    disc: int
    media_end_s: float
    """End of the last segment, stored or missing: the next span begins here."""
    media_s: float | None = None
    """Start of the last stored segment, where `pts_s` and `pdt_s` stand."""
    pts_s: float | None = None
    """Unwrapped first timestamp of the last stored segment."""
    pdt_s: float | None = None
    """PROGRAM-DATE-TIME of the last stored segment."""
    wall_start_s: float | None = None
    age_s: float = 0.0
    """Seconds since the last segment was published."""


class Source(Protocol):
    """A stream, VOD or file."""

    async def describe(self) -> SourceInfo:
        """Say what this is; called once, before `pull`.

        Raises:
            SourceUnusable: it can never be watched, and why, for a person.
            SourceGone: it cannot be reached now.
        """
        ...

    def pull(self, resume: Resume | None) -> AsyncGenerator[Pulled, None]:
        """Yield what comes, from the beginning or after `resume`; the last one is `SourceEnd`.

        An outage becomes gaps and notices, never an exception. The caller closes the generator.
        """
        ...
