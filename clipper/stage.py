"""Runs every open session's ranking and cuts what it plans.

Law: what a clip became lies in the object store beside it (`cut.json`) before the bus is told, so
a restart tells it again and never cuts twice. Plans follow from the log alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import orjson

from bus.codec import decode, encode
from bus.consume import fold
from bus.errors import BusError, MalformedEvent, Unavailable, UnknownEvent
from bus.events import (
    ClipCut,
    ClipFailed,
    ClipPlanned,
    Event,
    MomentJoined,
    MomentPassed,
    SessionClipped,
    SessionStarted,
    Word,
)
from bus.ports import Record
from bus.stage import Ctx
from bus.turns import Turns
from clipper.cut import Made, NeedsEarlier, make_cut
from clipper.errors import CutFailed
from clipper.material import Materials
from clipper.pieces import holding, runs, seconds_muted
from clipper.registry import make_ranker
from clipper.session import CutOrder, Outcome, SessionClipper
from clipper.settings import ClipperSettings
from store.errors import ObjectMissing
from store.fetch import Fetcher
from store.keys import clip_key
from store.objects import Objects

log = logging.getLogger(__name__)

TOPICS = ("sessions", "segments", "chat", "features", "moments")
_LEADS_S = (0.0, 5.0, 20.0)
"""How much media before a clip is read, until its key frame is found."""
_DRAIN_S = 10.0
_TRIES_MAX = 3
"""A cut that breaks in a way that nobody foresaw is given up after so many starts of the stage."""


class Clipper:
    """The stage `clipper`: moments in, source cuts out."""

    name = "clipper"

    def __init__(self, objects: Objects, fetcher: Fetcher, settings: ClipperSettings) -> None:
        self._objects = objects
        self._fetcher = fetcher
        self._settings = settings
        self._sessions: dict[str, SessionClipper] = {}
        self._cutting: dict[str, set[asyncio.Task[None]]] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}
        """Sessions that have been planned to their end and wait for their cuts."""
        self._turns = Turns(settings.cut.at_once)
        self._tries: dict[str, int] = {}
        """Cuts begun and not ended, by clip; kept when the stage is started again."""

    async def run(self, ctx: Ctx) -> None:
        """Follow the log until drained; cuts in hand are finished, within a limit."""
        self._sessions.clear()
        self._cutting.clear()
        self._closing.clear()
        async with asyncio.TaskGroup() as group:

            async def handle(records: Sequence[Record]) -> None:
                for record in records:
                    await self._feed(ctx, group, record.event)

            await fold(ctx, self.name, TOPICS, handle, self._open_sessions, drop=self._drop)
            rest = [task for tasks in self._cutting.values() for task in tasks]
            if rest:
                _, late = await asyncio.wait(rest, timeout=_DRAIN_S)
                for task in late:
                    task.cancel()

    def _open_sessions(self) -> Collection[str]:
        return self._cutting.keys()

    async def _feed(self, ctx: Ctx, group: asyncio.TaskGroup, event: Event) -> None:
        if isinstance(event, SessionStarted) and event.session_id not in self._cutting:
            ranker = make_ranker(self._settings.ranker, self._settings, event)
            self._sessions[event.session_id] = SessionClipper(event, ranker, self._settings)
            self._cutting[event.session_id] = set()
        session = self._sessions.get(event.session_id)
        if session is None:
            return
        outcomes = session.feed(event)
        told = [each for each in outcomes if not isinstance(each, SessionClipped)]
        if told:
            await ctx.bus.publish(told)
            _count(ctx, told)
        cutting = self._cutting[event.session_id]
        for order in session.take_orders():
            task = group.create_task(self._cut(ctx, order))
            cutting.add(task)
            task.add_done_callback(cutting.discard)
        for outcome in outcomes:
            if isinstance(outcome, SessionClipped):
                del self._sessions[event.session_id]
                self._closing[event.session_id] = group.create_task(self._close(ctx, outcome))

    async def _close(self, ctx: Ctx, clipped: SessionClipped) -> None:
        tasks = self._cutting[clipped.session_id]
        if tasks:
            await asyncio.wait(tasks)
        await ctx.bus.publish([clipped])
        del self._cutting[clipped.session_id], self._closing[clipped.session_id]

    async def _drop(self, session_ids: Collection[str]) -> None:
        """Let go of sessions that another worker plans and cuts now."""
        for session_id in session_ids:
            self._sessions.pop(session_id, None)
            closing = self._closing.pop(session_id, None)
            tasks = [*([closing] if closing else []), *self._cutting.pop(session_id, ())]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _cut(self, ctx: Ctx, order: CutOrder) -> None:
        plan = order.plan
        done_key = clip_key(plan.tenant_id, plan.clip_id, "cut.json")
        async with self._turns.turn(live=order.live):
            result = await self._told_before(done_key)
            if result is None:
                started_s = asyncio.get_running_loop().time()
                result = await self._result(order)
                await self._objects.put(done_key, encode(result))
                took_s = asyncio.get_running_loop().time() - started_s
                ctx.meter.observe("clipthat_clip_cut_seconds", took_s)
                ctx.meter.count("clipthat_clips_total", outcome=_outcome(result))
        await ctx.bus.publish([result])

    async def _told_before(self, key: str) -> Event | None:
        try:
            return decode(await self._objects.get(key))
        except (ObjectMissing, MalformedEvent, UnknownEvent):
            return None

    async def _result(self, order: CutOrder) -> ClipCut | ClipFailed:
        """Cut, and count: what breaks the stage again and again must not stop the other clips."""
        clip_id = order.plan.clip_id
        if self._tries.get(clip_id, 0) >= _TRIES_MAX:
            log.error("clip given up", extra={"clip": clip_id, "tries": _TRIES_MAX})
            return _failed(order.plan, "undecodable", "cutting it broke; the log says how")
        self._tries[clip_id] = self._tries.get(clip_id, 0) + 1
        try:
            result = await self._attempt(order)
        except asyncio.CancelledError:
            self._tries[clip_id] -= 1  # it was somebody else who broke
            raise
        del self._tries[clip_id]
        return result

    async def _attempt(self, order: CutOrder) -> ClipCut | ClipFailed:
        plan = order.plan
        try:
            return await self._make(order)
        except* (Unavailable, BusError):
            self._tries[plan.clip_id] -= 1  # an outage is not the clip's fault
            raise
        except* CutFailed as group:
            failure = _first(group)
            log.warning(
                "clip failed",
                extra={"clip": plan.clip_id, "reason": failure.reason, "detail": failure.detail},
            )
        return _failed(plan, failure.reason, failure.detail)

    async def _make(self, order: CutOrder) -> ClipCut:
        plan = order.plan
        materials = Materials(self._objects, self._fetcher, self._settings.cut)
        with tempfile.TemporaryDirectory(prefix="clipthat-cut-") as folder:
            path = Path(folder) / "source.mp4"
            made = await self._write(order, materials, path)
            source_key = clip_key(plan.tenant_id, plan.clip_id, "source.mp4")
            await self._objects.put(source_key, path)
        words_key = None
        if made.words:
            words_key = clip_key(plan.tenant_id, plan.clip_id, "words.json")
            await self._objects.put(words_key, orjson.dumps([_word(each) for each in made.words]))
        return _clip_cut(order, made, source_key, words_key)

    async def _write(self, order: CutOrder, materials: Materials, path: Path) -> Made:
        start_s, end_s = order.plan.start_s, order.plan.end_s
        for lead_s in _LEADS_S:
            pieces = holding(order.pieces, start_s, end_s, lead_s)
            if not pieces:
                raise CutFailed("gap", "no media is stored for this clip")
            has_earlier = lead_s < _LEADS_S[-1] and any(
                not piece.missing and piece.media_s < pieces[0].media_s for piece in order.pieces
            )
            read = [await materials.run(run) for run in runs(pieces)]
            with contextlib.suppress(NeedsEarlier):
                return await asyncio.to_thread(
                    make_cut,
                    read,
                    start_s,
                    end_s,
                    order.words,
                    path,
                    self._settings.cut,
                    has_earlier=has_earlier,
                )
        raise CutFailed("undecodable", "no key frame stands before the clip")


def _first(group: BaseExceptionGroup[CutFailed]) -> CutFailed:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, CutFailed)
    return first


def _outcome(result: Event) -> str:
    return result.reason if isinstance(result, ClipFailed) else "cut"


def _count(ctx: Ctx, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        match outcome:
            case ClipPlanned():
                ctx.meter.count("clipthat_clips_planned_total")
            case MomentPassed():
                ctx.meter.count("clipthat_moments_passed_total")
            case MomentJoined():
                ctx.meter.count("clipthat_moments_joined_total")
            case _:
                pass


def _word(word: Word) -> dict[str, object]:
    return {
        "text": word.text,
        "start_s": word.start_s,
        "end_s": word.end_s,
        "confidence": word.confidence,
    }


def _clip_cut(order: CutOrder, made: Made, source_key: str, words_key: str | None) -> ClipCut:
    plan = order.plan
    return ClipCut(
        tenant_id=plan.tenant_id,
        channel_id=plan.channel_id,
        session_id=plan.session_id,
        clip_id=plan.clip_id,
        source_key=source_key,
        in_s=made.in_s,
        out_s=made.out_s,
        start_s=made.start_s,
        peak_s=min(max(plan.peak_s, made.start_s), made.end_s),
        end_s=made.end_s,
        gap_s=made.gap_s,
        width=made.width,
        height=made.height,
        fps=made.fps,
        has_audio=made.has_audio,
        title=plan.title,
        words_key=words_key,
        muted_s=seconds_muted(order.pieces, made.start_s, made.end_s),
        replay=not order.live,
    )


def _failed(plan: ClipPlanned, reason: str, detail: str) -> ClipFailed:
    return ClipFailed(
        tenant_id=plan.tenant_id,
        channel_id=plan.channel_id,
        session_id=plan.session_id,
        clip_id=plan.clip_id,
        reason=reason,
        detail=detail,
    )
