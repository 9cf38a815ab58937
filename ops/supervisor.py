"""Runs stages side by side and starts a broken one again.

Law: a stage that fails is restarted with a growing pause; an error named as fatal ends everything;
at drain every stage has a fixed time to return before it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bus.stage import Ctx, Stage
from ops.errors import StageBroken

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisorSettings:
    """How stages are kept alive."""

    restart_first_s: float = 0.5
    """Pause before the first restart of a broken stage; doubles with each further one."""
    restart_max_s: float = 15.0
    """Longest pause between restarts."""
    calm_s: float = 60.0
    """A stage that has run this long starts again with the first pause."""
    drain_s: float = 13.0
    """Time that stages have to return after SIGTERM before they are cancelled."""


class Supervisor:
    """Keeps stages running until they are done, drained or broken for good."""

    def __init__(
        self,
        ctx: Ctx,
        settings: SupervisorSettings,
        fatal: tuple[type[Exception], ...] = (),
    ) -> None:
        self._ctx = ctx
        self._settings = settings
        self._fatal = fatal
        self._broke: dict[str, tuple[float, str] | None] = {}
        """When each stage last broke, by the loop's clock, and with what."""

    async def run(self, stages: Sequence[Stage]) -> None:
        """Run all stages; returns when each has returned.

        Raises:
            StageBroken: a stage met one of the fatal errors, which is its cause.
        """
        try:
            async with asyncio.TaskGroup() as group:
                running = [
                    group.create_task(self._keep(stage), name=stage.name) for stage in stages
                ]
                group.create_task(self._cancel_late(running), name="drain-limit")
        except* StageBroken as broken:
            first = _first(broken)
            raise first from first.__cause__

    @property
    def troubles(self) -> dict[str, str]:
        """What each stage broke with in the last `calm_s`; empty for one that is well."""
        since_s = asyncio.get_running_loop().time() - self._settings.calm_s
        return {
            name: broke[1] if broke is not None and broke[0] >= since_s else ""
            for name, broke in self._broke.items()
        }

    async def _cancel_late(self, running: list[asyncio.Task[None]]) -> None:
        done = asyncio.ensure_future(asyncio.wait(running))
        drain = asyncio.ensure_future(self._ctx.draining.wait())
        try:
            await asyncio.wait({done, drain}, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                await asyncio.wait({done}, timeout=self._settings.drain_s)
            for task in running:
                if not task.done():
                    log.warning("stage did not return in time", extra={"stage": task.get_name()})
                    task.cancel()
        finally:
            done.cancel()
            drain.cancel()

    async def _keep(self, stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        pause_s = self._settings.restart_first_s
        while True:
            began_s = loop.time()
            self._broke.setdefault(stage.name, None)
            try:
                await stage.run(self._ctx)
                return
            except Exception as error:
                fatal = self._fatal_of(error)
                if fatal is not None:
                    raise StageBroken(str(fatal)) from fatal
                log.exception("stage broke", extra={"stage": stage.name})
                self._broke[stage.name] = (loop.time(), f"{type(error).__name__}: {error}")
                self._ctx.meter.count("clipthat_stage_restarts_total", stage=stage.name)
            if self._ctx.draining.is_set():
                return
            if loop.time() - began_s >= self._settings.calm_s:
                pause_s = self._settings.restart_first_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ctx.draining.wait(), pause_s)
                return
            pause_s = min(pause_s * 2, self._settings.restart_max_s)

    def _fatal_of(self, error: Exception) -> Exception | None:
        """Return what in an error is fatal; a stage with tasks of its own fails with a group."""
        if isinstance(error, ExceptionGroup):
            found = (self._fatal_of(each) for each in error.exceptions)
            return next((each for each in found if each is not None), None)
        return error if isinstance(error, self._fatal) else None


def _first(group: BaseExceptionGroup[StageBroken]) -> StageBroken:
    for error in group.exceptions:
        return error if isinstance(error, StageBroken) else _first(error)
    raise AssertionError("an exception group is never empty")


@contextlib.contextmanager
def signals(*steps: asyncio.Event) -> Iterator[None]:
    """Let the n-th SIGINT set the n-th event, and SIGTERM the last one, while the context is open.

    Further signals set the last event again.
    """
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        for step in steps:
            if not step.is_set():
                step.set()
                return

    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(signal.SIGTERM, steps[-1].set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)
