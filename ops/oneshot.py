"""Runs one session from its source to its finished clips, then everything stops.

Law: whatever ends the process, the same command on the same folder goes on where this one stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bus.errors import BusBroken, BusFull
from bus.events import Event
from bus.stage import Ctx
from ingest.errors import SourceGone, SourceUnusable
from ingest.ring_sweep import sweep_ring
from ingest.watch import Watch
from ops.bootstrap import Parts, open_parts, open_state, pipeline
from ops.errors import StageBroken
from ops.export import Export
from ops.folder import held
from ops.follow import Follow
from ops.outcome import SessionOutcome
from ops.settings import Settings
from ops.supervisor import Supervisor, signals
from ops.terminal import View
from store.errors import StorageFull

KEEP_S = 10 * 365 * 24 * 3600.0
"""A folder's bus is the only memory of its session: it is kept until the folder is removed."""

FEATURES_LOOK_S = 0.2
FEATURES_LOOKS = 50
"""The recorded features are complete a moment after the session has ended; ten seconds at most."""

FATAL: tuple[type[Exception], ...] = (
    *(SourceUnusable, SourceGone),
    *(StorageFull, BusFull, BusBroken),
)
"""What a restart of the stage would not mend; the message is for the user."""

MakeWatch = Callable[[Parts, asyncio.Event], Awaitable[Watch]]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a one-shot run ended."""

    outcome: SessionOutcome | None
    complete: bool
    """False when the run was stopped before everything was done."""


class Finish:
    """Drains the process once the session is done and lies in the folder."""

    name = "finish"

    def __init__(self, follow: Follow, export: Export, watch: Watch, parts: Parts) -> None:
        self._follow = follow
        self._export = export
        self._watch = watch
        self._parts = parts
        self._tenant_id = parts.settings.tenant_id
        self.complete = False

    async def run(self, ctx: Ctx) -> None:
        """Wait for the end, or for somebody who stops everything before it."""
        drained = asyncio.ensure_future(ctx.draining.wait())
        whole = asyncio.ensure_future(self._whole())
        try:
            await asyncio.wait({drained, whole}, return_when=asyncio.FIRST_COMPLETED)
            if whole.done():
                whole.result()
                self.complete = True
        finally:
            drained.cancel()
            whole.cancel()
        ctx.draining.set()

    async def _whole(self) -> None:
        await self._follow.done.wait()
        session_id = self._watch.session_id
        assert session_id is not None
        await self._export.finished(session_id).wait()
        for _ in range(FEATURES_LOOKS):
            if await self._export.bring_features(self._tenant_id, session_id):
                break
            await asyncio.sleep(FEATURES_LOOK_S)
        # The stage that sweeps may not have come to it, and nobody may ever run again here.
        await sweep_ring(self._parts.objects, self._tenant_id, session_id)


async def run_session(
    settings: Settings,
    out: Path,
    make_watch: MakeWatch,
    view: View,
    *,
    gentle_stop: bool,
) -> Ran:
    """Watch one source to its end and write its clips into `out`.

    Args:
        settings: everything that is set.
        out: folder of the clips; the run's state lies below it.
        make_watch: makes the watch from the parts and the event that asks it to end the session.
        view: what shows the progress.
        gentle_stop: the first Ctrl-C ends the session and finishes its clips (live); otherwise it
            stops everything, to be resumed.

    Raises:
        OpsError: the folder is in use.
        StageBroken: the source, the chat or the disk is unusable; the message says what to do.
    """
    layouts = tuple(settings.render.layouts)
    outcomes: dict[str, SessionOutcome] = {}

    def outcome_of(session_id: str) -> SessionOutcome:
        return outcomes.setdefault(session_id, SessionOutcome(session_id, layouts))

    def listen(outcome: SessionOutcome, event: Event) -> None:
        view.show(outcome, event)

    bus = replace(settings.bus, retention_s=KEEP_S, retention_max_s=KEEP_S)
    with held(out) as state_folder:
        async with (
            open_parts(replace(settings, bus=bus), state_folder) as parts,
            open_state(settings, state_folder) as state,
        ):
            ctx = Ctx(bus=parts.bus, meter=parts.meter)
            stop = asyncio.Event()
            try:
                watch = await make_watch(parts, stop)
            except FATAL as error:
                raise StageBroken(str(error)) from error
            export = Export(out, parts.objects, layouts)
            follow = Follow(lambda: watch.session_id, outcome_of, listen)
            finish = Finish(follow, export, watch, parts)
            steps = (stop, ctx.draining) if gentle_stop else (ctx.draining,)
            with view, signals(*steps):
                await Supervisor(ctx, settings.supervisor, FATAL).run(
                    [watch, *pipeline(parts, state), export, follow, finish]
                )
    outcome = outcomes.get(watch.session_id) if watch.session_id else None
    return Ran(outcome, finish.complete)
