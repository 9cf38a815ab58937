"""Watches one source: the stage that turns a stream, VOD or file into a session's events.

Law: where it stopped is read from the bus, never from a file of its own; killed at any instant
and started again, it goes on where its last published event ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

from bus.events import SessionStarted, stable_id
from bus.stage import Ctx
from ingest.chat.absent import AbsentChat
from ingest.chat.log import ChatLog
from ingest.chat.part_chat import PartChat
from ingest.chat.settings import ChatSettings
from ingest.chat.source import ChatSource
from ingest.chat.window import ChatWindows
from ingest.chat_writer import ChatWriter
from ingest.errors import SourceGone, SourceOffline
from ingest.history import read_history
from ingest.pace import Pace, pace_of
from ingest.session_log import SessionLog
from ingest.session_writer import SessionWriter
from ingest.settings import IngestSettings
from ingest.source import (
    Notice,
    Pulled,
    Source,
    SourceEnd,
    SourceGap,
    SourceInfo,
    SourceSegment,
)
from ingest.span import clock
from store.errors import StorageFull
from store.objects import Objects

log = logging.getLogger(__name__)

_LOOK_S = 0.5
"""How often a wait looks at the clock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchTarget:
    """What to watch, for whom."""

    tenant_id: str
    channel_id: str
    title: str = ""
    """Empty: as the source calls itself."""
    clips_max: int | None = None
    """The best N of the whole session; None: clip as it goes."""
    words_key: str | None = None
    shape: str = ""
    """Whatever else shapes the result: another shape of the same recording is another session."""
    stop_after_s: float | None = None
    """End the session this long after it began, by the clock on the wall."""
    kept: bool = False
    """The channel is watched broadcast after broadcast: what the playlist of one goes on listing
    after its end is not watched again."""


class Watch:
    """A stage that watches one source to its end."""

    def __init__(
        self,
        target: WatchTarget,
        source: Source,
        chat: ChatSource | None,
        objects: Objects,
        settings: IngestSettings,
        clock: Callable[[], float],
        stop: asyncio.Event,
        *,
        chat_settings: ChatSettings | None = None,
        flap_s: float = 0.0,
    ) -> None:
        """`clock` tells Unix seconds; `stop` is set when a person wants the session to end.

        `flap_s`: how long a broadcast that the platform names may be away, as in `HlsLive`.
        """
        self._target = target
        self._source = source
        self._chat = chat
        self._objects = objects
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._chat_settings = chat_settings or ChatSettings()
        self._flap_s = flap_s
        self.session_id: str | None = None
        """The session that is being watched, once it is known."""
        self.watching = asyncio.Event()
        """Set once it is."""

    @property
    def name(self) -> str:
        """The stage's name."""
        return "watch"

    async def run(self, ctx: Ctx) -> None:
        """Watch until the source ends, a person stops it or the process drains.

        Raises:
            SourceUnusable: the source can never be watched, and why.
            SourceGone: it cannot be reached now; running again resumes.
            SourceOffline: a channel that is kept has nothing on.
            StorageFull: no space is left; running again resumes.
        """
        # A channel that is offline is looked at often, and reading the log is dear: only once there
        # is something to watch.
        info = await self._source.describe()
        logs = await self._history(ctx)
        await self._end_lost(ctx, logs)
        await self._end_other_broadcasts(ctx, info, logs)
        self._refuse_remains(info, logs)
        past, resumed = self._session(info, logs)
        self.session_id = past.started.session_id
        self.watching.set()
        if past.ended:
            log.info("session has ended before", extra={"session_id": self.session_id})
            return
        async with self._open_chat(ctx, past) as chat:
            writer = SessionWriter(ctx, self._objects, self._settings, past, chat)
            await writer.begin(resumed=resumed)
            if info.kind == "live":
                await self._watch(ctx, past, writer, None)
            else:
                how = (self._settings, self._clock, ctx.meter)
                async with pace_of(ctx.bus, self.session_id, *how) as pace:
                    await self._watch(ctx, past, writer, pace)

    async def end_lost(self, ctx: Ctx) -> bool:
        """End live sessions that nobody has carried on for too long; return whether none is open.

        For a channel that is away: `run` does the same when it is back.
        """
        logs = await self._history(ctx)
        await self._end_lost(ctx, logs)
        return all(each.ended or each.started.kind != "live" for each in logs.values())

    async def _history(self, ctx: Ctx) -> dict[str, SessionLog]:
        target = self._target
        return await read_history(ctx.bus, target.tenant_id, target.channel_id, self._clock())

    async def _end_lost(self, ctx: Ctx, logs: dict[str, SessionLog]) -> None:
        """End live sessions that nobody has carried on for too long, and all but the newest."""
        running = [s for s in logs.values() if not s.ended and s.started.kind == "live"]
        now_s = self._clock()
        for index, session in enumerate(running):
            silent_s = now_s - session.last_heard_s
            newer = index < len(running) - 1
            limit_s = self._settings.lost_after_s
            if session.started.broadcast_id:
                limit_s = max(limit_s, self._flap_s)
            if newer or session.empty or silent_s >= limit_s:
                await ctx.bus.publish(session.closing("lost"))
                session.ended = True

    async def _end_other_broadcasts(
        self, ctx: Ctx, info: SourceInfo, logs: dict[str, SessionLog]
    ) -> None:
        """End live sessions in whose place the platform says that another broadcast is on."""
        if not info.broadcast_named:
            return
        for session in logs.values():
            known = session.started.broadcast_id
            if not session.ended and known and known != info.broadcast_id:
                await ctx.bus.publish(session.closing("ended"))
                session.ended = True

    def _refuse_remains(self, info: SourceInfo, logs: dict[str, SessionLog]) -> None:
        """Take what an ended broadcast has left behind for no broadcast.

        Raises:
            SourceOffline: it has been watched, and nothing will follow.
        """
        live = [session for session in logs.values() if session.started.kind == "live"]
        watched = bool(live) and all(session.ended for session in live)
        if self._target.kept and info.over and not info.broadcast_named and watched:
            raise SourceOffline("the stream has ended")

    def _session(self, info: SourceInfo, logs: dict[str, SessionLog]) -> tuple[SessionLog, bool]:
        """Return the session to write and whether it goes on from an earlier run."""
        target = self._target
        if info.kind == "live":
            for session in reversed(logs.values()):
                if not session.ended and session.started.kind == "live":
                    return session, True
        named = (info.broadcast_id, target.shape) if target.shape else (info.broadcast_id,)
        session_id = stable_id(target.tenant_id, target.channel_id, *named)
        if info.kind != "live" and session_id in logs:
            return logs[session_id], True
        again = 0
        while session_id in logs:
            again += 1
            session_id = stable_id(target.tenant_id, target.channel_id, info.broadcast_id, again)
        started = SessionStarted(
            tenant_id=target.tenant_id,
            channel_id=target.channel_id,
            session_id=session_id,
            kind=info.kind,
            title=(target.title or info.title) + _part_of(info),
            source=info.source,
            wall_start_s=info.wall_start_s,
            duration_s=info.duration_s,
            has_chat=self._chat is not None,
            words_key=target.words_key,
            clips_max=target.clips_max,
            started_at_s=self._clock(),
            broadcast_id=info.broadcast_id if info.broadcast_named else "",
            reaction_s=_learned_s(logs),
            vod_start_s=info.vod_start_s,
        )
        return SessionLog(started), False

    @contextlib.asynccontextmanager
    async def _open_chat(self, ctx: Ctx, past: SessionLog) -> AsyncIterator[ChatWriter | None]:
        if not past.started.has_chat:
            yield None
            return
        started = past.started
        chat = self._chat or AbsentChat(past.chat_until_s)
        if self._chat is not None and started.kind != "live":
            chat = PartChat(self._chat, started.vod_start_s, past.chat_until_s)
        windows = ChatWindows(
            tenant_id=started.tenant_id,
            channel_id=started.channel_id,
            session_id=started.session_id,
            first_s=past.chat_until_s,
            settings=self._chat_settings.windows,
        )
        raw = ChatLog(
            self._objects,
            tenant_id=started.tenant_id,
            session_id=started.session_id,
            settings=self._chat_settings.log,
        )
        await raw.open(past.chat_until_s)
        await chat.open(started.wall_start_s)
        try:
            yield ChatWriter(chat, windows, raw, ctx.meter)
        finally:
            await chat.close()

    async def _watch(
        self, ctx: Ctx, past: SessionLog, writer: SessionWriter, pace: Pace | None
    ) -> None:
        resume = past.resume(self._clock())
        async with contextlib.aclosing(self._source.pull(resume)) as pulls:
            try:
                while True:
                    pulled = await self._next(ctx, pulls, past, writer)
                    if pulled is None or not await self._keep(ctx, pulled, past, writer, pace):
                        break
            except (StorageFull, SourceGone) as error:
                log.error("watch stops; running it again resumes", extra={"detail": str(error)})
                await writer.flush()
                raise
        if ctx.draining.is_set():
            await writer.flush()
        elif isinstance(pulled, SourceEnd):
            await writer.end(pulled.reason)
        else:
            await writer.end("stopped")

    async def _keep(
        self,
        ctx: Ctx,
        pulled: Pulled,
        past: SessionLog,
        writer: SessionWriter,
        pace: Pace | None,
    ) -> bool:
        """Write what was pulled; return False when it is the last."""
        match pulled:
            case SourceSegment():
                if not await self._paced(ctx, pulled.media_s, past, writer, pace):
                    return False
                await writer.segment(pulled, None if pace is None else pace.settled_s)
            case SourceGap():
                if not await self._paced(ctx, pulled.media_s, past, writer, pace):
                    return False
                await writer.gap(pulled)
            case Notice():
                writer.notice(pulled)
            case SourceEnd():
                return False
        return True

    async def _paced(
        self, ctx: Ctx, media_s: float, past: SessionLog, writer: SessionWriter, pace: Pace | None
    ) -> bool:
        """Hold a replay back until its readers have come near; return False to stop instead."""
        if pace is None:
            return True
        await pace.look()
        while not pace.allows(media_s):
            await writer.flush()
            if self._must_stop(ctx, past):
                return False
            await pace.follow(_LOOK_S)
        return True

    async def _next(
        self,
        ctx: Ctx,
        pulls: AsyncGenerator[Pulled, None],
        past: SessionLog,
        writer: SessionWriter,
    ) -> Pulled | None:
        """Return what the source gives next; None when the watch must stop."""
        coming = asyncio.create_task(_one(pulls))
        stops = [asyncio.create_task(e.wait()) for e in (self._stop, ctx.draining)]
        try:
            while not self._must_stop(ctx, past):
                await asyncio.wait(
                    (coming, *stops), timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED
                )
                if coming.done():
                    return coming.result()
                if writer.waiting:
                    await writer.flush()
            return None
        finally:
            for task in (coming, *stops):
                task.cancel()
            await asyncio.gather(coming, *stops, return_exceptions=True)

    def _must_stop(self, ctx: Ctx, past: SessionLog) -> bool:
        if self._stop.is_set() or ctx.draining.is_set():
            return True
        after_s = self._target.stop_after_s
        return after_s is not None and self._clock() - past.started.started_at_s >= after_s


def _part_of(info: SourceInfo) -> str:
    """Return what a part of a recording is told from the whole by; empty for the whole."""
    if not info.vod_start_s:
        return ""
    return f" from {clock(info.vod_start_s)}"


async def _one(pulls: AsyncGenerator[Pulled, None]) -> Pulled:
    return await anext(pulls, SourceEnd(reason="ended"))


def _learned_s(logs: dict[str, SessionLog]) -> float | None:
    """Return how long the channel's chat took to answer when that was known last."""
    known = [each.reaction_s for each in logs.values() if each.reaction_s is not None]
    return known[-1] if known else None
