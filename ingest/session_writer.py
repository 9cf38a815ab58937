"""Writes one session: objects into the ring, then the events that tell of them.

Law: an event is published only after what it names is stored; segments go out in order; a replay's
events go out many at a time.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Literal

from bus.events import (
    ChannelDegraded,
    Event,
    MinuteWatched,
    SegmentMissing,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)
from bus.stage import Ctx
from ingest.chat_writer import ChatWriter
from ingest.ring import Ring
from ingest.session_log import SessionLog
from ingest.settings import IngestSettings
from ingest.source import Notice, SourceGap, SourceSegment
from store.keys import init_key, ring_key
from store.objects import Objects

log = logging.getLogger(__name__)

_SUFFIXES = {"ts": "ts", "fmp4": "m4s", "matroska": "mka"}


class SessionWriter:
    """The pen of one session."""

    def __init__(
        self,
        ctx: Ctx,
        objects: Objects,
        settings: IngestSettings,
        past: SessionLog,
        chat: ChatWriter | None,
    ) -> None:
        """`past`: the session so far; a new one has only its start."""
        self._ctx = ctx
        self._objects = objects
        self._settings = settings
        self._past = past
        self._started: SessionStarted = past.started
        self._chat = chat
        self._ring = Ring(settings.ring_s, settings.ring_bytes)
        self._inits: dict[str, str] = {}
        self._batch: list[Event] = []
        self._segments_waiting = 0
        for stored in past.stored:
            if stored.object_key and stored.end_s > past.media_end_s - 2 * settings.ring_s:
                self._ring.add(stored.object_key, stored.end_s, stored.size_bytes, unseen_s=-1.0)

    @property
    def media_end_s(self) -> float:
        """Media time up to which everything is told or waits to be."""
        return self._past.media_end_s

    @property
    def waiting(self) -> int:
        """Events that have not been published yet."""
        return len(self._batch)

    async def begin(self, *, resumed: bool) -> None:
        """Publish the session's start, or what an earlier run may have left untold."""
        if not resumed:
            self._batch.append(self._started)
        self._add_minutes(self._past.minutes_untold())
        await self.flush()

    async def segment(self, segment: SourceSegment, unseen_s: float | None) -> None:
        """Store a segment and tell of it; `unseen_s` as in `Ring.add`.

        Raises:
            StorageFull: no space is left; what is stored has been told.
        """
        key = self._key(segment)
        init = await self._init(segment)
        await self._objects.put(key, segment.body)
        event = SegmentStored(
            **self._names(),
            epoch=segment.epoch,
            seq=segment.seq,
            disc=segment.disc,
            media_s=segment.media_s,
            duration_s=segment.duration_s,
            pts_s=segment.pts_s,
            pdt_s=segment.pdt_s,
            container=segment.container,
            object_key=key,
            init_key=init,
            size_bytes=len(segment.body),
            sense_only=segment.sense_only,
            source_ref=segment.source_ref,
            muted=segment.muted,
        )
        self._ctx.meter.count("clipthat_segments_total", outcome="stored")
        self._ctx.meter.count("clipthat_segment_bytes_total", by=len(segment.body))
        await self._tell(event)
        leaving = self._ring.add(key, event.end_s, len(segment.body), unseen_s)
        if leaving:
            await self._objects.delete(leaving)
            self._ctx.meter.count("clipthat_ring_evicted_segments_total", by=len(leaving))

    async def gap(self, gap: SourceGap) -> None:
        """Tell of a span without bytes."""
        event = SegmentMissing(
            **self._names(),
            epoch=gap.epoch,
            seq=gap.seq,
            media_s=gap.media_s,
            duration_s=gap.duration_s,
            reason=gap.reason,
            detail=gap.detail,
        )
        self._ctx.meter.count("clipthat_segments_total", outcome="missing")
        self._ctx.meter.count("clipthat_gap_seconds_total", by=gap.duration_s, reason=gap.reason)
        await self._tell(event)

    def notice(self, notice: Notice) -> None:
        """Tell what makes the session worse; goes out with the next events."""
        log.warning("channel degraded", extra={"reason": notice.reason, "detail": notice.detail})
        self._batch.append(
            ChannelDegraded(
                **self._names(),
                media_s=notice.media_s,
                reason=notice.reason,
                detail=notice.detail,
            )
        )

    async def end(self, reason: Literal["ended", "stopped", "lost"]) -> None:
        """Publish everything and the session's end."""
        past = self._past
        chat_until_s = 0.0
        if self._chat is not None:
            self._batch += await self._chat.finish(past.media_end_s)
            self._tell_of_chat(self._chat, past.media_end_s)
            chat_until_s = self._chat.until_s
        self._batch.append(
            SessionEnded(
                **self._names(),
                media_s=past.media_end_s,
                chat_until_s=chat_until_s,
                stored_s=past.minutes.stored_s,
                missing_s=past.missing_s,
                reason=reason,
            )
        )
        await self.flush()

    async def flush(self) -> None:
        """Publish what waits."""
        if self._batch:
            await self._ctx.bus.publish(self._batch)
            self._batch = []
        self._segments_waiting = 0

    def _names(self) -> dict[str, Any]:
        started = self._started
        return {
            "tenant_id": started.tenant_id,
            "channel_id": started.channel_id,
            "session_id": started.session_id,
        }

    def _key(self, segment: SourceSegment) -> str:
        started = self._started
        return ring_key(
            started.tenant_id,
            started.session_id,
            segment.epoch,
            segment.seq,
            _SUFFIXES[segment.container],
        )

    async def _init(self, segment: SourceSegment) -> str | None:
        """Store an init section once and return its key."""
        if segment.init is None:
            return None
        digest = hashlib.sha256(segment.init).hexdigest()[:16]
        if digest not in self._inits:
            started = self._started
            key = init_key(started.tenant_id, started.session_id, digest)
            await self._objects.put(key, segment.init)
            self._inits[digest] = key
        return self._inits[digest]

    async def _tell(self, event: SegmentStored | SegmentMissing) -> None:
        full_minutes = self._past.feed(event, self._past.last_heard_s)
        self._batch.append(event)
        self._segments_waiting += 1
        self._add_minutes(full_minutes)
        if self._chat is not None:
            self._batch += await self._chat.close_until(event.end_s)
            self._tell_of_chat(self._chat, event.end_s)
        if self._started.kind == "live" or self._segments_waiting >= self._settings.batch_segments:
            await self.flush()

    def _tell_of_chat(self, chat: ChatWriter, media_s: float) -> None:
        for told in chat.take_notices():
            self.notice(Notice(reason=told.reason, detail=told.detail, media_s=media_s))

    def _add_minutes(self, minutes: list[tuple[int, float]]) -> None:
        for minute, media_s in minutes:
            self._batch.append(MinuteWatched(**self._names(), minute=minute, media_s=media_s))
            self._ctx.meter.count("clipthat_minutes_watched_total")
