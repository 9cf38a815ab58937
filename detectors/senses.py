"""The stage that opens segments: `segments` in, `features` out.

Law: sessions go on side by side, each in order, live ones before replays; a cursor moves only past
what has been published. What a restart forgets is heard again from the ring.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bus.errors import Fenced, Unavailable
from bus.events import (
    ChannelDegraded,
    Event,
    SegmentMissing,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)
from bus.in_hand import InHand
from bus.ports import Record, Subscription, TopicPartition
from bus.stage import Ctx
from bus.turns import Turns
from detectors.phrase import PhraseSpotter
from detectors.sensing import Sensing, Tools
from detectors.settings import SensesSettings
from detectors.shed import CAUGHT_UP, OVERLOADED, Told
from detectors.telling import gap
from store.objects import Objects

_LOG = logging.getLogger(__name__)
_GROUP = "senses"
_POLL_S = 0.25
_FETCH_MAX = 100
_ATTEMPTS = 3
_STARTED_MAX = 10_000
_END_SLACK_S = 0.01


@dataclass(slots=True)
class _Session:
    """A session's senses and the records that wait for them."""

    place: TopicPartition
    """Where its segments come from."""
    senses: Sensing | None = None
    records: deque[Record] = field(default_factory=deque)
    is_busy: bool = False
    newest_s: float = 0.0
    """Media time up to which segments are known."""

    def lag_s(self, record: Record, now_s: float) -> float:
        """Return how far a segment is behind: by its age, and by the media known after it.

        Each alone may be wrong: the age where clocks differ or a machine has slept, the media
        where a stream begins with what its playlist lists already.
        """
        after_s = self.newest_s - _end_s(record.event)
        return max(0.0, min(now_s - record.published_at_s, after_s))


class Senses:
    """Stage `senses`: each segment becomes its features."""

    def __init__(
        self,
        objects: Objects,
        settings: SensesSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` tells Unix seconds, as records tell when they were published."""
        self._objects = objects
        self._settings = settings or SensesSettings()
        self._clock = clock

    @property
    def name(self) -> str:
        """The stage's name."""
        return "senses"

    async def run(self, ctx: Ctx) -> None:
        """Sense until drained.

        Raises:
            PhraseUnknown: the settings ask for a phrase that cannot be spotted.
            BusError: the bus failed.
        """
        settings = self._settings
        threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="senses")
        try:
            async with PhraseSpotter(settings.phrase, ctx.meter) as spotter:
                tools = Tools(
                    self._objects, settings, ctx.meter, spotter, Turns(settings.threads), threads
                )
                while not ctx.draining.is_set():
                    await _Shift(ctx, tools, self._clock).work()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


class _Shift:
    """The time between joining the consumer group and leaving or losing it."""

    def __init__(self, ctx: Ctx, tools: Tools, clock: Callable[[], float]) -> None:
        self._ctx = ctx
        self._clock = clock
        self._tools = tools
        self._settings = tools.settings
        self._in_hand = InHand()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._started: OrderedDict[str, SessionStarted] = OrderedDict()
        self._ended: dict[str, float] = {}
        self._overloaded: set[str] = set()
        self._news = asyncio.Event()
        self._progress = asyncio.Event()

    async def work(self) -> None:
        """Fetch, sense and commit until drained or fenced."""
        follower = asyncio.create_task(self._follow_sessions(), name="senses-sessions")
        try:
            async with self._ctx.bus.subscribe(_GROUP, ("segments",)) as segments:
                await self._fetch_all(segments, follower)
        except* Fenced:
            _LOG.info("segments have gone to another worker")
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)

    async def _fetch_all(self, segments: Subscription, follower: asyncio.Task[None]) -> None:
        async with asyncio.TaskGroup() as crew:
            while not self._ctx.draining.is_set():
                if follower.done():
                    follower.result()
                room = self._settings.in_hand_max - len(self._in_hand)
                if room > 0:
                    records = await self._more(segments, room)
                else:
                    records = []
                    await self._some_progress()
                for record in records:
                    self._in_hand.take(record)
                    self._give(record, segments, crew)
                await self._commit(segments)
                self._measure()
                await self._forget_finished()
        await self._commit(segments)

    async def _more(self, segments: Subscription, room: int) -> list[Record]:
        """Return the next segments; when some have gone to another worker, the others go on."""
        try:
            return await segments.fetch(min(room, _FETCH_MAX), _POLL_S)
        except Fenced as fenced:
            if not fenced.places:
                raise
            await self._let_go(fenced.places)
            return []

    async def _let_go(self, places: Collection[TopicPartition]) -> None:
        _LOG.info("segments have gone to another worker", extra={"partitions": len(places)})
        for place in places:
            self._in_hand.forget(place)
        gone = [each for each, session in self._sessions.items() if session.place in places]
        for session_id in gone:
            self._sessions.pop(session_id).records.clear()
            await self._tools.spotter.forget(session_id)

    async def _some_progress(self) -> None:
        self._progress.clear()
        try:
            async with asyncio.timeout(_POLL_S):
                await self._progress.wait()
        except TimeoutError:
            return

    async def _commit(self, segments: Subscription) -> None:
        due = self._in_hand.due()
        if not due:
            return
        try:
            await segments.commit(due)
        except Fenced:
            # The next fetch tells which have moved; the others are committed by themselves.
            for place, offset in due.items():
                with contextlib.suppress(Fenced):
                    await segments.commit({place: offset})

    def _give(self, record: Record, segments: Subscription, crew: asyncio.TaskGroup) -> None:
        session = self._sessions.setdefault(record.event.session_id, _Session(record.place))
        self._sessions.move_to_end(record.event.session_id)
        session.records.append(record)
        session.newest_s = max(session.newest_s, _end_s(record.event))
        if not session.is_busy:
            session.is_busy = True
            crew.create_task(self._serve(record.event.session_id, session, segments))

    async def _serve(self, session_id: str, session: _Session, segments: Subscription) -> None:
        """Sense what waits for one session, in order; when drained, what is in hand only."""
        try:
            while session.records and not self._ctx.draining.is_set():
                record = session.records.popleft()
                if isinstance(record.event, (SegmentStored, SegmentMissing)):
                    await self._sense(session_id, session, record, segments)
                self._in_hand.done(record)
                self._progress.set()
        finally:
            session.is_busy = False

    async def _sense(
        self, session_id: str, session: _Session, record: Record, segments: Subscription
    ) -> None:
        segment = record.event
        assert isinstance(segment, (SegmentStored, SegmentMissing))
        if session.senses is None:
            started = await self._start_of(session_id)
            overloaded = session_id in self._overloaded
            session.senses = Sensing(self._tools, started, overloaded=overloaded)
        now_s = self._clock()
        told = session.senses.shed.see(segment, session.lag_s(record, now_s), now_s)
        _log(told)
        events = await self._try(session.senses, segment, record, segments)
        await self._ctx.bus.publish([*events, *told])
        session.senses.moved_to(segment)
        self._tools.meter.observe(
            "clipthat_senses_delay_seconds",
            max(0.0, self._clock() - record.published_at_s),
            mode=session.senses.mode,
        )

    async def _try(
        self,
        senses: Sensing,
        segment: SegmentStored | SegmentMissing,
        record: Record,
        segments: Subscription,
    ) -> list[Event]:
        """Return the segment's features; a poison segment becomes a gap and a dead letter."""
        error = ""
        for attempt in range(1, _ATTEMPTS + 1):
            (outcome,) = await asyncio.gather(senses.sense(segment), return_exceptions=True)
            if isinstance(outcome, list):
                return outcome
            if isinstance(outcome, Unavailable) or not isinstance(outcome, Exception):
                raise outcome
            error = f"{type(outcome).__name__}: {outcome}"
            _LOG.warning(
                "segment not sensed",
                extra={"session": segment.session_id, "attempt": attempt, "why": error},
            )
            if attempt < _ATTEMPTS:
                await asyncio.sleep(random.uniform(0.1, 0.3) * attempt)
        self._tools.meter.count("clipthat_senses_segments_total", outcome="failed")
        await segments.reject(record, error, _ATTEMPTS)
        return [gap(segment)]

    async def _start_of(self, session_id: str) -> SessionStarted | None:
        """Wait until the session's start has been read; it was published before its segments."""
        try:
            async with asyncio.timeout(self._settings.known_session_timeout_s):
                while session_id not in self._started:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            _LOG.warning("session without a start", extra={"session": session_id})
            return None
        return self._started[session_id]

    async def _follow_sessions(self) -> None:
        """Read all sessions from the log's beginning; a restart must know the old ones too."""
        group = f"{_GROUP}-sessions-{uuid.uuid4().hex}"
        async with self._ctx.bus.subscribe(group, ("sessions",)) as sessions:
            while True:
                for record in await sessions.fetch(_FETCH_MAX, _POLL_S):
                    self._note(record.event)
                self._news.set()

    def _note(self, event: Event) -> None:
        if isinstance(event, SessionStarted):
            self._started[event.session_id] = event
            while len(self._started) > _STARTED_MAX:
                oldest, _ = self._started.popitem(last=False)
                self._ended.pop(oldest, None)
                self._overloaded.discard(oldest)
        elif isinstance(event, SessionEnded):
            self._ended[event.session_id] = event.media_s
        elif isinstance(event, ChannelDegraded) and event.reason == OVERLOADED:
            self._overloaded.add(event.session_id)
        elif isinstance(event, ChannelDegraded) and event.reason == CAUGHT_UP:
            self._overloaded.discard(event.session_id)

    def _measure(self) -> None:
        now_s, lag_s = self._clock(), 0.0
        for session_id, session in self._sessions.items():
            started = self._started.get(session_id)
            if session.records and (started is None or started.kind == "live"):
                lag_s = max(lag_s, session.lag_s(session.records[0], now_s))
        self._tools.meter.gauge("clipthat_live_lag_seconds", lag_s)
        self._tools.meter.gauge("clipthat_senses_in_hand", len(self._in_hand))

    async def _forget_finished(self) -> None:
        idle = [
            (session_id, session)
            for session_id, session in self._sessions.items()
            if not session.is_busy and not session.records
        ]
        surplus = len(self._sessions) - self._settings.sessions_max
        for place, (session_id, session) in enumerate(idle):
            end_s = self._ended.get(session_id)
            heard_s = 0.0 if session.senses is None else session.senses.end_s
            if place < surplus or (end_s is not None and heard_s >= end_s - _END_SLACK_S):
                del self._sessions[session_id]
                await self._forget(session_id, session)

    async def _forget(self, session_id: str, session: _Session) -> None:
        if session.senses is not None:
            told = session.senses.end()
            _log(told)
            await self._ctx.bus.publish(told)
        await self._tools.spotter.forget(session_id)


def _end_s(event: Event) -> float:
    return event.end_s if isinstance(event, SegmentStored | SegmentMissing) else 0.0


def _log(told: Sequence[Told]) -> None:
    for each in told:
        if isinstance(each, ChannelDegraded):
            extra = {"session": each.session_id, "reason": each.reason, "detail": each.detail}
            _LOG.warning("live is too much for this machine", extra=extra)
