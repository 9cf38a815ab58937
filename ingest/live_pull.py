"""Pulls a live stream: reloads its playlist, keeps fetches in flight, yields in order.

Law: decides nothing that `cursor` and `timeline` can decide; every await is bounded, every task
it starts ends with the generator. A stream that is looked for anew goes on from its old address
until the new one is there.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bus.ports import Meter
from ingest.cursor import Cursor, Lost, Step, Take, Verdict, fallen_behind
from ingest.errors import MalformedPlaylist, SourceGone, SourceOffline, SourceUnusable
from ingest.playlist import MediaPlaylist
from ingest.playlist_reader import Opened, PlaylistReader
from ingest.segment_reader import SegmentReader, Unread, Whole, refusal
from ingest.settings import IngestSettings
from ingest.source import Notice, Pulled, Resume, SourceEnd
from ingest.timeline import Timeline
from ingest.timer import Timer
from store.errors import FetchError, FetchStatus

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_TOKEN_GONE = (401, 403, 404, 410)
_FIND_S = 300.0
"""Bounds finding the stream anew, a wait for its turn included."""
_RENEW_SPREAD = 0.045
"""Share by which renewals are spread, so that channels do not renew in step."""
_RENEW_AGAIN_S = 60.0
"""A renewal that failed while the old address still works is tried again after this long."""


def even() -> float:
    """Return a chance number within -1 and 1."""
    return random.uniform(-1.0, 1.0)


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


class LivePull:
    """One run of `HlsLive.pull`."""

    def __init__(
        self,
        playlists: PlaylistReader,
        segments: SegmentReader,
        settings: IngestSettings,
        meter: Meter,
        timer: Timer,
        spread: Callable[[], float],
        renew_after_s: float,
    ) -> None:
        """`spread` returns a number within -1 and 1; the others are as in `HlsLive`."""
        self._playlists = playlists
        self._segments = segments
        self._settings = settings
        self._meter = meter
        self._timer = timer
        self._spread = spread
        self._waiting: deque[_Waiting] = deque()
        self._told: set[str] = set()
        self._reload: asyncio.Task[MediaPlaylist] | None = None
        self._finding: asyncio.Task[Opened] | None = None
        self._alarm: asyncio.Task[None] | None = None
        self._renew_after_s = renew_after_s
        self._renew_at_s = math.inf
        self._dead = False
        self._offline = False
        self._over = False

    async def run(
        self, first: MediaPlaylist | None, resume: Resume | None
    ) -> AsyncGenerator[Pulled, None]:
        """Yield what comes; `first` is a playlist that has just been read."""
        self._cursor = Cursor(self._settings, self._timer.now(), resume)
        self._timeline = Timeline(resume)
        self._renew_later()
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
                self._start_finding(verdict)
                await self._wait()
                self._collect_reload()
                self._collect_found()
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
        if self._over or self._cursor.ended:
            return SourceEnd(reason="ended")
        if verdict == "lost":
            return SourceEnd(reason="ended" if self._offline else "lost")
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
        opened = self._playlists.opened
        lasting = opened is None or not opened.resolved.fleeting
        again = outcome.source_ref if lasting else None
        return self._timeline.stored(segment, outcome.probe, outcome.body, outcome.init, again)

    def _start_fetches(self) -> None:
        flying = sum(1 for w in self._waiting if w.fetch is not None)
        for waiting in self._waiting:
            if flying >= self._settings.fetches_live:
                return
            if waiting.fetch is None and not waiting.ready and isinstance(waiting.step, Take):
                waiting.fetch = asyncio.create_task(self._segments.read(waiting.step.segment))
                flying += 1

    def _start_finding(self, verdict: Verdict) -> None:
        """Look for the stream anew: it died, nothing new comes, or its address has grown old."""
        now_s = self._timer.now()
        wanted = self._dead or verdict == "resolve" or now_s >= self._renew_at_s
        if not wanted or self._finding is not None or self._over or self._cursor.ended:
            return
        if self._cursor.may_resolve(now_s):
            self._cursor.resolved(now_s)
            self._dead = False
            self._finding = asyncio.create_task(_bounded(self._playlists.find(), _FIND_S))

    async def _wait(self) -> None:
        """Wait for the next segment in order, a playlist, or the time for one."""
        reading = not self._cursor.ended and not self._over
        if self._reload is None and self._alarm is None and reading:
            # One answer is due; twice its time bounds even a slow reading of it.
            limit_s = 2 * self._settings.playlist_timeout_s
            self._reload = asyncio.create_task(_bounded(self._read(), limit_s))
        watched: list[asyncio.Task[Any]] = []
        if self._waiting and self._waiting[0].fetch is not None:
            watched.append(self._waiting[0].fetch)
        watched += [t for t in (self._reload, self._finding, self._alarm) if t is not None]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if self._alarm is not None and self._alarm.done():
            self._alarm = None

    async def _read(self) -> MediaPlaylist:
        if self._playlists.opened is None:
            return await self._playlists.open(self._timer)
        return await self._playlists.reload()

    def _collect_found(self) -> None:
        if self._finding is None or not self._finding.done():
            return
        finding, self._finding = self._finding, None
        try:
            found = finding.result()
        except (FetchError, MalformedPlaylist, SourceGone, SourceUnusable, TimeoutError) as error:
            self._meter.count("clipthat_addresses_found_total", outcome="failed")
            log.warning("stream not found anew", extra={"detail": str(error)})
            self._offline = isinstance(error, SourceOffline)
            self._renew_at_s = max(self._renew_at_s, self._timer.now() + _RENEW_AGAIN_S)
            return
        self._meter.count("clipthat_addresses_found_total", outcome="ok")
        self._offline = False
        known = self._playlists.opened
        for task in (self._reload, self._alarm):
            # The list before this one must not come after it.
            if task is not None:
                task.cancel()
        self._reload = self._alarm = None
        if known is not None and known.broadcast_id and found.broadcast_id:
            self._over = found.broadcast_id != known.broadcast_id
        if self._over:
            log.info("another broadcast is on", extra={"broadcast_id": found.broadcast_id})
            return
        self._playlists.use(found)
        self._dead = False
        self._renew_later()
        self._take_in(found.playlist, elsewhere=known is None or known.media_url != found.media_url)
        self._set_alarm()

    def _renew_later(self) -> None:
        spread = 1 + _RENEW_SPREAD * self._spread()
        self._renew_at_s = self._timer.now() + self._renew_after_s * spread

    def _collect_reload(self) -> None:
        if self._reload is None or not self._reload.done():
            return
        reload, self._reload = self._reload, None
        try:
            playlist = reload.result()
        except (FetchError, MalformedPlaylist, SourceGone, SourceUnusable, TimeoutError) as error:
            self._meter.count("clipthat_playlist_reloads_total", outcome="failed")
            log.warning("playlist unread", extra={"detail": str(error)})
            self._cursor.failed()
            if isinstance(error, FetchStatus) and error.status in _TOKEN_GONE:
                self._dead = True
        else:
            self._meter.count("clipthat_playlist_reloads_total", outcome="ok")
            self._take_in(playlist)
        if self._alarm is None:
            self._set_alarm()

    def _set_alarm(self) -> None:
        wait_s = self._cursor.reload_in_s(self._spread())
        self._alarm = asyncio.create_task(self._timer.sleep(wait_s))

    def _take_in(self, playlist: MediaPlaylist, *, elsewhere: bool = False) -> None:
        if playlist.ended and self._playlists.broadcast_id:
            # The broadcast may come back; whether it is over, its address tells.
            playlist = replace(playlist, ended=False)
            self._dead = True
        steps = self._cursor.feed(playlist, self._timer.now(), elsewhere=elsewhere)
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
        tasks += [t for t in (self._reload, self._finding, self._alarm) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _bounded(work: Coroutine[Any, Any, _T], limit_s: float) -> _T:
    async with asyncio.timeout(limit_s):
        return await work
