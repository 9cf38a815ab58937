"""A finished HLS list (a VOD), or a part of it, as a source: read in order, a few segments ahead.

Law: a VOD waits for an origin that is away, since nothing is lost by waiting; when it stays away
the watch stops with `SourceGone` and can be resumed. Addresses die, a segment's number stays.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import urlsplit

from bus.ports import Meter, SilentMeter
from ingest.address import Address, FixedAddress
from ingest.errors import MalformedPlaylist, SourceGone, SourceUnusable
from ingest.playlist import MediaPlaylist
from ingest.playlist_reader import PlaylistReader, Web
from ingest.segment import Segment
from ingest.segment_reader import SegmentReader, Unread, Whole, refusal
from ingest.settings import IngestSettings
from ingest.source import Notice, Pulled, Resume, SourceEnd, SourceInfo
from ingest.span import WHOLE, Span
from ingest.timeline import Timeline
from ingest.timer import Timer, WallTimer
from store.errors import FetchError

log = logging.getLogger(__name__)

Read = tuple[Segment, Whole | Unread]


class HlsVod:
    """A VOD behind an address, or at a multivariant or media playlist's URL."""

    def __init__(
        self,
        where: Address | str,
        web: Web,
        settings: IngestSettings,
        *,
        span: Span = WHOLE,
        quality: Sequence[str] = (),
        title: str = "",
        meter: Meter | None = None,
        timer: Timer | None = None,
    ) -> None:
        """`where`: an address, or a URL that stays.

        Args:
            span: the part that is wanted; whole segments that touch it are read.
            quality: names of variants to prefer, the first one first.
            title: empty: as the platform calls it.
        """
        self._address = FixedAddress(where) if isinstance(where, str) else where
        self._span = span
        self._title = title
        self._settings = settings
        self._meter = meter or SilentMeter()
        self._timer = timer or WallTimer()
        self._playlists = PlaylistReader(self._address, web, settings, quality=quality)
        self._segments = SegmentReader(
            web,
            self._timer,
            settings,
            self._meter,
            outage_s=settings.vod_outage_s,
            headers=lambda: self._playlists.headers,
        )
        self._playlist: MediaPlaylist | None = None
        self._listed: dict[int, Segment] = {}
        self._found = 0
        """How often the VOD has been found; a segment remembers under which it was read."""
        self._in_vain = False
        """Nothing has been read since the VOD was found anew."""
        self._finding = asyncio.Lock()

    async def describe(self) -> SourceInfo:
        """Read the whole list.

        Raises:
            SourceUnusable: the address is refused, encrypted, empty, shorter than what is wanted,
                or a stream that still runs and that no platform keeps.
            SourceGone: it cannot be reached.
        """
        playlist = await self._playlists.open(self._timer)
        shown, named = self._address.shown, self._playlists.broadcast_id
        if not playlist.segments:
            raise SourceUnusable(f"{shown} lists no segments")
        if not playlist.ended and not named:
            raise SourceUnusable(f"{shown} is still live; watch it with `clipthat live`")
        self._take_in(playlist)
        durations_s = [segment.duration_s for segment in playlist.segments]
        first, last = self._span.pick(durations_s, shown)
        chosen = playlist.segments[first:last]
        variant = self._playlists.variant
        return SourceInfo(
            kind="vod",
            title=self._title or self._playlists.title or shown,
            source=shown,
            broadcast_id=self._span.of(named or _name_of(shown)),
            duration_s=sum(segment.duration_s for segment in chosen),
            wall_start_s=chosen[0].pdt_s,
            has_video=False if variant is not None and variant.audio_only else None,
            vod_start_s=sum(durations_s[:first]),
        )

    async def pull(self, resume: Resume | None) -> AsyncGenerator[Pulled, None]:
        """Yield the VOD, or the wanted part of it.

        Raises:
            SourceGone: the origin stayed away; resume later.
        """
        if self._playlist is None:
            await self.describe()
        assert self._playlist is not None  # describe has set it
        timeline = Timeline(resume)
        for notice in self._first_notices(timeline.end_s, self._playlist):
            yield notice
        first, last = self._span.pick(
            [segment.duration_s for segment in self._playlist.segments], self._address.shown
        )
        listed = self._playlist.segments[first:last]
        if resume is not None:
            listed = tuple(segment for segment in listed if segment.seq > resume.seq)
        told_encrypted = was_muted = False
        try:
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
                for pulled in _placed(timeline, segment, outcome):
                    yield pulled
        except SourceUnusable as error:
            yield Notice(reason="vod_gone", detail=str(error), media_s=timeline.end_s)
            yield SourceEnd(reason="lost")
            return
        yield SourceEnd(reason="ended")

    def _take_in(self, playlist: MediaPlaylist) -> None:
        self._playlist = self._playlist or playlist
        self._listed = {segment.seq: segment for segment in playlist.segments}
        self._found += 1

    def _first_notices(self, media_s: float, playlist: MediaPlaylist) -> list[Notice]:
        notices = []
        if not playlist.ended:
            detail = (
                "the broadcast still runs: this is what its VOD holds now,"
                f" {playlist.duration_s:.0f} s; import the rest later with --from"
                f" {playlist.duration_s:.0f}"
            )
            notices.append(Notice(reason="vod_growing", detail=detail, media_s=media_s))
        variant = self._playlists.variant
        if variant is not None and variant.audio_only:
            detail = "the VOD offers sound only, no picture"
            notices.append(Notice(reason="audio_only", detail=detail, media_s=media_s))
        elif variant is not None and variant.audio_elsewhere:
            detail = "the VOD's sound lies in a playlist of its own"
            notices.append(Notice(reason="no_audio", detail=detail, media_s=media_s))
        return notices

    async def _read(self, listed: Sequence[Segment]) -> AsyncGenerator[Read, None]:
        """Yield the segments in order, a few read ahead."""
        flying: deque[asyncio.Task[Read]] = deque()
        waiting = iter(listed)
        try:
            while True:
                while len(flying) < self._settings.fetches_vod:
                    segment = next(waiting, None)
                    if segment is None:
                        break
                    flying.append(asyncio.create_task(self._fetch(segment.seq)))
                if not flying:
                    return
                outcome = await flying[0]
                flying.popleft()
                yield outcome
        finally:
            for fetch in flying:
                fetch.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    async def _fetch(self, seq: int) -> Read:
        """Read a segment by its number; once more under a new address when the old one is dead."""
        while True:
            found, segment = self._found, self._listed[seq]
            outcome = refusal(segment) or await self._segments.read(segment)
            if isinstance(outcome, Whole):
                self._in_vain = self._in_vain and found != self._found
            if isinstance(outcome, Whole) or not outcome.denied:
                return segment, outcome
            if not await self._find_anew(found) or seq not in self._listed:
                return segment, outcome

    async def _find_anew(self, found: int) -> bool:
        """Find the VOD again, unless somebody has since; False when that did not help before.

        Raises:
            SourceUnusable: it can no longer be watched.
            SourceGone: it stayed away.
        """
        async with self._finding:
            if found != self._found:
                return True
            if self._in_vain:
                return False
            began_s, wait_s = self._timer.now(), self._settings.backoff_first_s
            while True:
                try:
                    opened = await self._playlists.find()
                except (FetchError, MalformedPlaylist, SourceGone, TimeoutError) as error:
                    self._meter.count("clipthat_addresses_found_total", outcome="failed")
                    log.warning("VOD not found anew", extra={"detail": str(error)})
                    if self._timer.now() - began_s > self._settings.vod_outage_s:
                        said = f"{self._address.shown}: {error or 'no answer'}"
                        raise SourceGone(said) from error
                    await self._timer.sleep(wait_s)
                    wait_s = min(2 * wait_s, self._settings.backoff_max_s)
                else:
                    break
            self._meter.count("clipthat_addresses_found_total", outcome="ok")
            self._playlists.use(opened)
            self._take_in(opened.playlist)
            self._in_vain = True
            return True


def _placed(timeline: Timeline, segment: Segment, outcome: Whole | Unread) -> list[Pulled]:
    if isinstance(outcome, Unread):
        return timeline.failed(segment, outcome.reason, outcome.detail)
    return timeline.stored(segment, outcome.probe, outcome.body, outcome.init, outcome.source_ref)


def _name_of(address: str) -> str:
    """Name a VOD by its address; a signature lies in the query and changes, the VOD stays."""
    parts = urlsplit(address)
    named = f"{parts.hostname}\x1f{parts.port}\x1f{parts.path}"
    return hashlib.sha256(named.encode()).hexdigest()[:24]
