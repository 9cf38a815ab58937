"""The stage that detects: `sessions`, `features` and `chat` in, `moments` out.

Law: its state follows from the log alone; after a restart the sessions that are still open are
read again from their start, and the same moments are published under the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from bus.consume import fold
from bus.events import Event, MomentDetected, ReactionLearned, SessionStarted
from bus.ports import Record
from bus.stage import Ctx
from detectors.host import DetectorHost, Outcome
from detectors.port import Detector
from detectors.reaction import Reaction
from detectors.settings import HostSettings

MakeDetectors = Callable[[SessionStarted], Sequence[Detector]]
MakeReaction = Callable[[SessionStarted], Reaction | None]


class Detection:
    """Stage `detectors`: hosts the detectors of all open sessions.

    Args:
        make: makes a session's detectors.
        settings: how features and chat are merged.
        make_reaction: makes what learns a session's delay, where one is to be learned.
    """

    def __init__(
        self,
        make: MakeDetectors,
        settings: HostSettings | None = None,
        make_reaction: MakeReaction | None = None,
    ) -> None:
        self._settings = settings or HostSettings()
        self._make = make
        self._make_reaction = make_reaction

    @property
    def name(self) -> str:
        """The stage's name."""
        return "detectors"

    async def run(self, ctx: Ctx) -> None:
        """Detect until drained."""
        floor = _Floor(ctx, self._host)
        await fold(
            ctx,
            "detectors",
            ("sessions", "features", "chat"),
            floor.handle,
            floor.open_sessions,
            drop=floor.drop,
        )

    def _host(self, started: SessionStarted) -> DetectorHost:
        reaction = self._make_reaction(started) if self._make_reaction is not None else None
        return DetectorHost(started, self._make(started), self._settings, reaction)


class _Floor:
    """All open sessions of one run."""

    def __init__(self, ctx: Ctx, make_host: Callable[[SessionStarted], DetectorHost]) -> None:
        self._ctx = ctx
        self._make_host = make_host
        self._hosts: dict[str, DetectorHost] = {}
        self._forced: dict[str, int] = {}
        """What has been counted of each host's `forced`."""

    def open_sessions(self) -> Collection[str]:
        """Return the sessions that a restart would have to read again."""
        return self._hosts.keys()

    async def drop(self, session_ids: Collection[str]) -> None:
        """Forget sessions that another worker follows now."""
        for session_id in session_ids:
            self._hosts.pop(session_id, None)

    async def handle(self, records: Sequence[Record]) -> None:
        """Feed the records and publish what follows."""
        outcomes: list[Outcome] = []
        for record in records:
            outcomes += self._feed(record.event)
        if outcomes:
            await self._ctx.bus.publish(outcomes)
        self._count_forced()
        self._close_done()
        self._measure(outcomes)

    def _feed(self, event: Event) -> list[Outcome]:
        if isinstance(event, SessionStarted):
            self._hosts.setdefault(event.session_id, self._make_host(event))
            return []
        known = self._hosts.get(event.session_id)
        return [] if known is None else known.feed(event)

    def _count_forced(self) -> None:
        for session_id, host in self._hosts.items():
            more = host.forced - self._forced.get(session_id, 0)
            if more:
                self._forced[session_id] = host.forced
                self._ctx.meter.count("clipthat_detectors_forced_total", more)

    def _close_done(self) -> None:
        for session_id in [key for key, host in self._hosts.items() if host.done]:
            del self._hosts[session_id]
            self._forced.pop(session_id, None)

    def _measure(self, outcomes: Sequence[Outcome]) -> None:
        self._ctx.meter.gauge("clipthat_detectors_open_sessions", len(self._hosts))
        for outcome in outcomes:
            if isinstance(outcome, MomentDetected):
                self._ctx.meter.count("clipthat_detectors_moments_total", kind=outcome.kind)
            elif isinstance(outcome, ReactionLearned):
                self._ctx.meter.gauge(
                    "clipthat_detectors_reaction_seconds",
                    outcome.delay_s,
                    channel=outcome.channel_id,
                )
