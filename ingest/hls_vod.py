"""A finished HLS list (a VOD) as a source: read from its beginning, a few segments ahead.

Law: a VOD waits for an origin that is away, since nothing is lost by waiting; when it stays away
the watch stops with `SourceGone` and can be resumed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import urlsplit

from bus.ports import Meter, SilentMeter
from ingest.address import FixedAddress
from ingest.errors import SourceUnusable
from ingest.playlist import MediaPlaylist
from ingest.playlist_reader import PlaylistReader, Web
from ingest.segment import Segment
from ingest.segment_reader import SegmentReader, Unread, Whole, refusal
from ingest.settings import IngestSettings
from ingest.source import Notice, Pulled, Resume, SourceEnd, SourceInfo
from ingest.timeline import Timeline
from ingest.timer import Timer, WallTimer

Fetch = asyncio.Task[Whole | Unread]


class HlsVod:
    """A VOD at a multivariant or media playlist's address."""

    def __init__(
        self,
        url: str,
        web: Web,
        settings: IngestSettings,
        *,
        title: str = "",
        broadcast_id: str = "",
        meter: Meter | None = None,
        timer: Timer | None = None,
    ) -> None:
        """`broadcast_id`: the platform's name for the VOD; else its address names it."""
        self._url = url
        self._title = title or url
        self._broadcast_id = broadcast_id
        self._settings = settings
        self._meter = meter or SilentMeter()
        self._timer = timer or WallTimer()
        self._playlists = PlaylistReader(FixedAddress(url), web, settings)
        self._segments = SegmentReader(
            web, self._timer, settings, self._meter, outage_s=settings.vod_outage_s
        )
        self._playlist: MediaPlaylist | None = None

    async def describe(self) -> SourceInfo:
        """Read the whole list.

        Raises:
            SourceUnusable: the address is refused, encrypted, empty, or a stream that still runs.
            SourceGone: it cannot be reached.
        """
        playlist = await self._playlists.open(self._timer)
        if not playlist.segments:
            raise SourceUnusable(f"{self._url} lists no segments")
        if not playlist.ended:
            raise SourceUnusable(f"{self._url} is still live; watch it with `clipthat live`")
        self._playlist = playlist
        variant = self._playlists.variant
        parts = urlsplit(self._url)
        # A signature lies in the query and changes; the VOD stays the same.
        named = f"{parts.hostname}\x1f{parts.port}\x1f{parts.path}"
        return SourceInfo(
            kind="vod",
            title=self._title,
            source=self._url,
            broadcast_id=self._broadcast_id or hashlib.sha256(named.encode()).hexdigest()[:24],
            duration_s=playlist.duration_s,
            wall_start_s=playlist.segments[0].pdt_s,
            has_video=False if variant is not None and variant.audio_only else None,
        )

    async def pull(self, resume: Resume | None) -> AsyncGenerator[Pulled, None]:
        """Yield the VOD.

        Raises:
            SourceGone: the origin stayed away; resume later.
        """
        if self._playlist is None:
            await self.describe()
        assert self._playlist is not None  # describe has set it
        timeline = Timeline(resume)
        for notice in self._first_notices(timeline.end_s):
            yield notice
        listed = self._playlist.segments
        if resume is not None:
            listed = tuple(segment for segment in listed if segment.seq > resume.seq)
        told_encrypted = was_muted = False
        async for segment, outcome in self._read(listed):
            if segment.encrypted and not told_encrypted and isinstance(outcome, Unread):
                told_encrypted = True
                yield Notice(reason="encrypted", detail=outcome.detail, media_s=timeline.end_s)
            if segment.muted and not was_muted:
                yield Notice(
                    reason="muted",
                    detail="the platform has muted this part of the VOD",
                    media_s=timeline.end_s,
                )
            was_muted = segment.muted
            if isinstance(outcome, Unread):
                told = timeline.failed(segment, outcome.reason, outcome.detail)
            else:
                told = timeline.stored(
                    segment, outcome.probe, outcome.body, outcome.init, outcome.source_ref
                )
            for pulled in told:
                yield pulled
        yield SourceEnd(reason="ended")

    def _first_notices(self, media_s: float) -> list[Notice]:
        variant = self._playlists.variant
        if variant is not None and variant.audio_only:
            detail = "the VOD offers sound only, no picture"
            return [Notice(reason="audio_only", detail=detail, media_s=media_s)]
        if variant is not None and variant.audio_elsewhere:
            detail = "the VOD's sound lies in a playlist of its own"
            return [Notice(reason="no_audio", detail=detail, media_s=media_s)]
        return []

    async def _read(
        self, listed: Sequence[Segment]
    ) -> AsyncGenerator[tuple[Segment, Whole | Unread], None]:
        """Yield the segments in order, a few read ahead."""
        flying: deque[tuple[Segment, Fetch]] = deque()
        waiting = iter(listed)
        try:
            while True:
                while len(flying) < self._settings.fetches_vod:
                    segment = next(waiting, None)
                    if segment is None:
                        break
                    flying.append((segment, asyncio.create_task(self._fetch(segment))))
                if not flying:
                    return
                segment, fetch = flying[0]
                outcome = await fetch
                flying.popleft()
                yield segment, outcome
        finally:
            for _, fetch in flying:
                fetch.cancel()
            await asyncio.gather(*(fetch for _, fetch in flying), return_exceptions=True)

    async def _fetch(self, segment: Segment) -> Whole | Unread:
        return refusal(segment) or await self._segments.read(segment)
