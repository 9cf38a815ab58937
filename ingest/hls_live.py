"""A live HLS stream as a source: reloads its playlist, keeps fetches in flight, yields in order.

Law: decides nothing that `cursor` and `timeline` can decide; every await is bounded, every task
it starts ends with the generator.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from bus.ports import Meter, SilentMeter
from ingest.cursor import Cursor, Lost, Step, Take, Verdict, fallen_behind, newest
from ingest.errors import MalformedPlaylist
from ingest.playlist import MediaPlaylist
from ingest.playlist_reader import PlaylistReader, Web
from ingest.segment_reader import SegmentReader, Unread, Whole, refusal
from ingest.settings import IngestSettings
from ingest.source import Notice, Pulled, Resume, SourceEnd, SourceInfo
from ingest.timeline import Timeline
from ingest.timer import Timer, WallTimer
from store.errors import FetchError, FetchStatus

log = logging.getLogger(__name__)

_TOKEN_GONE = (401, 403, 404, 410)


def _even() -> float:
    return random.uniform(-1.0, 1.0)


class HlsLive:
    """A live stream at a multivariant or media playlist's address."""

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
        spread: Callable[[], float] = _even,
    ) -> None:
        """`broadcast_id`: when the platform names its broadcasts; else the start names it."""
        self._url = url
        self._title = title or url
        self._broadcast_id = broadcast_id
        self._web = web
        self._settings = settings
        self._meter = meter or SilentMeter()
        self._timer = timer or WallTimer()
        self._spread = spread
        self._playlists = PlaylistReader(url, web, settings)
        self._first: MediaPlaylist | None = None

    async def describe(self) -> SourceInfo:
        """Read the playlist once; `pull` begins with what this has seen.

        Raises:
            SourceUnusable: the address is refused, or the stream is encrypted.
            SourceGone: there is no stream now.
        """
        playlist = await self._playlists.open(self._timer)
        self._first = playlist
        listed = newest(playlist.segments, self._settings.start_back_s)
        wall_start_s = listed[0].pdt_s if listed else None
        if wall_start_s is None:
            wall_start_s = self._timer.now() - sum(s.duration_s for s in listed)
        started = f"{self._url}\x1f{wall_start_s:.3f}"
        variant = self._playlists.variant
        return SourceInfo(
            kind="live",
            title=self._title,
            source=self._url,
            broadcast_id=self._broadcast_id or hashlib.sha256(started.encode()).hexdigest()[:24],
            wall_start_s=wall_start_s,
            has_video=False if variant is not None and variant.audio_only else None,
        )

    def pull(self, resume: Resume | None) -> AsyncGenerator[Pulled, None]:
        """Yield the stream as it comes, until it ends or stays away."""
        segments = SegmentReader(self._web, self._timer, self._settings, self._meter, outage_s=0.0)
        puller = _Puller(
            self._playlists, segments, self._settings, self._meter, self._timer, self._spread
        )
        first, self._first = self._first, None
        return puller.run(first, resume)


@dataclass(slots=True)
class _Waiting:
    """A step that is not told yet."""

    step: Step
    fetch: asyncio.Task[Whole | Unread] | None = None

    @property
    def ready(self) -> bool:
        if isinstance(self.step, Lost) or refusal(self.step.segment) is not None:
            return True
        return self.fetch is not None and self.fetch.done()


class _Puller:
    """One run of `pull`."""

    def __init__(
        self,
        playlists: PlaylistReader,
        segments: SegmentReader,
        settings: IngestSettings,
        meter: Meter,
        timer: Timer,
        spread: Callable[[], float],
    ) -> None:
        self._playlists = playlists
        self._segments = segments
        self._settings = settings
        self._meter = meter
        self._timer = timer
        self._spread = spread
        self._waiting: deque[_Waiting] = deque()
        self._told: set[str] = set()
        self._reload: asyncio.Task[MediaPlaylist] | None = None
        self._alarm: asyncio.Task[None] | None = None

    async def run(
        self, first: MediaPlaylist | None, resume: Resume | None
    ) -> AsyncGenerator[Pulled, None]:
        """Yield what comes; `first` is a playlist that has just been read."""
        self._cursor = Cursor(self._settings, self._timer.now(), resume)
        self._timeline = Timeline(resume)
        try:
            if first is not None:
                self._take_in(first)
                self._set_alarm()
            while True:
                verdict = self._cursor.verdict(self._timer.now())
                for notice in self._notices(verdict):
                    yield notice
                while self._waiting and self._waiting[0].ready:
                    for pulled in self._tell(self._waiting.popleft()):
                        yield pulled
                end = self._end(verdict)
                if end is not None:
                    yield end
                    return
                self._start_fetches()
                await self._wait(verdict)
                self._collect_reload()
        finally:
            await self._let_go()

    def _notices(self, verdict: Verdict) -> list[Notice]:
        variant = self._playlists.variant
        notices = []
        if variant is not None and variant.audio_only:
            notices += self._once("audio_only", "the stream offers sound only, no picture")
        elif variant is not None and variant.audio_elsewhere:
            notices += self._once("no_audio", "the stream's sound lies in a playlist of its own")
        if verdict == "stalled":
            idle_s = self._cursor.idle_s(self._timer.now())
            detail = f"nothing new for {idle_s:.0f} s"
            notices.append(Notice(reason="stalled", detail=detail, media_s=self._timeline.end_s))
        return notices

    def _once(self, reason: str, detail: str) -> list[Notice]:
        if reason in self._told:
            return []
        self._told.add(reason)
        return [Notice(reason=reason, detail=detail, media_s=self._timeline.end_s)]

    def _end(self, verdict: Verdict) -> SourceEnd | None:
        if self._waiting:
            return None
        if self._cursor.ended:
            return SourceEnd(reason="ended")
        if verdict == "lost":
            return SourceEnd(reason="lost")
        return None

    def _tell(self, waiting: _Waiting) -> list[Pulled]:
        step = waiting.step
        if isinstance(step, Lost):
            return self._timeline.lost(step)
        segment = step.segment
        refused = refusal(segment)
        if refused is not None:
            told = self._timeline.failed(segment, refused.reason, refused.detail)
            notices = self._once("encrypted", refused.detail) if segment.encrypted else []
            return [*notices, *told]
        assert waiting.fetch is not None  # it is ready
        outcome = waiting.fetch.result()
        if isinstance(outcome, Unread):
            log.warning("segment unread", extra={"seq": segment.seq, "detail": outcome.detail})
            return self._timeline.failed(segment, outcome.reason, outcome.detail)
        return self._timeline.stored(
            segment, outcome.probe, outcome.body, outcome.init, outcome.source_ref
        )

    def _start_fetches(self) -> None:
        flying = sum(1 for w in self._waiting if w.fetch is not None)
        for waiting in self._waiting:
            if flying >= self._settings.fetches_live:
                return
            if waiting.fetch is None and not waiting.ready and isinstance(waiting.step, Take):
                waiting.fetch = asyncio.create_task(self._segments.read(waiting.step.segment))
                flying += 1

    async def _wait(self, verdict: Verdict) -> None:
        """Wait for the next segment in order, the reload, or the time for one."""
        if verdict == "resolve" and self._reload is None:
            self._cursor.resolved(self._timer.now())
            self._playlists.forget()
            self._begin_reload()
        if self._reload is None and self._alarm is None and not self._cursor.ended:
            self._begin_reload()
        watched: list[asyncio.Task[Any]] = []
        if self._waiting and self._waiting[0].fetch is not None:
            watched.append(self._waiting[0].fetch)
        watched += [task for task in (self._reload, self._alarm) if task is not None]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if self._alarm is not None and self._alarm.done():
            self._alarm = None

    def _begin_reload(self) -> None:
        self._reload = asyncio.create_task(self._bounded(self._playlists.reload()))

    async def _bounded(self, work: Coroutine[Any, Any, MediaPlaylist]) -> MediaPlaylist:
        # Three answers at the most: the variant, the list of variants and the chosen one.
        async with asyncio.timeout(3 * self._settings.playlist_timeout_s):
            return await work

    def _collect_reload(self) -> None:
        if self._reload is None or not self._reload.done():
            return
        reload, self._reload = self._reload, None
        try:
            playlist = reload.result()
        except (FetchError, MalformedPlaylist, TimeoutError) as error:
            self._meter.count("clipthat_playlist_reloads_total", outcome="failed")
            log.warning("playlist unread", extra={"detail": str(error)})
            self._cursor.failed()
            gone = isinstance(error, FetchStatus) and error.status in _TOKEN_GONE
            if gone and self._cursor.may_resolve(self._timer.now()):
                self._cursor.resolved(self._timer.now())
                self._playlists.forget()
                return
        else:
            self._meter.count("clipthat_playlist_reloads_total", outcome="ok")
            self._take_in(playlist)
        if self._alarm is None:
            self._set_alarm()

    def _set_alarm(self) -> None:
        wait_s = self._cursor.reload_in_s(self._spread())
        self._alarm = asyncio.create_task(self._timer.sleep(wait_s))

    def _take_in(self, playlist: MediaPlaylist) -> None:
        steps = self._cursor.feed(playlist, self._timer.now())
        self._waiting.extend(_Waiting(step) for step in steps)
        late = [w for w in self._waiting if not w.ready]
        if len(late) < len(self._waiting) or not late:
            return
        takes = [w.step for w in late if isinstance(w.step, Take)]
        count = fallen_behind(takes, playlist.media_sequence, self._settings.edge_segments)
        if count:
            self._give_up(count, takes)

    def _give_up(self, count: int, takes: list[Take]) -> None:
        dropped = [self._waiting.popleft() for _ in range(count)]
        for waiting in dropped:
            if waiting.fetch is not None:
                waiting.fetch.cancel()
        segments = [take.segment for take in takes[:count]]
        self._waiting.appendleft(
            _Waiting(
                Lost(
                    seq=segments[-1].seq,
                    duration_s=sum(segment.duration_s for segment in segments),
                    until_pdt_s=takes[count].segment.pdt_s,
                    reason="late",
                    detail=f"fell behind the playlist; gave up {count} segments",
                )
            )
        )
        self._meter.count("clipthat_segments_given_up_total", by=count)

    async def _let_go(self) -> None:
        tasks: list[asyncio.Task[Any]] = [w.fetch for w in self._waiting if w.fetch is not None]
        tasks += [task for task in (self._reload, self._alarm) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
