"""Hears that the machine is about to be taken away, and leaves in time.

Law: a notice is final: all work is given back at once and the process drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx

from bus.ports import Meter
from bus.stage import Ctx
from ops.preemption_clouds import AwsNotice, GcpNotice, Notice, Sleep
from ops.preemption_settings import PreemptionSettings

log = logging.getLogger(__name__)


class FileNotice:
    """A file whose appearance is the notice."""

    name = "file"

    def __init__(self, path: Path, poll_s: float, sleep: Sleep = asyncio.sleep) -> None:
        """`poll_s`: pause between two looks, seconds; `sleep` waits for seconds."""
        self._path = path
        self._poll_s = poll_s
        self._sleep = sleep

    async def is_there(self) -> bool:
        """As `Notice.is_there`."""
        return self._path.exists()

    async def wait(self) -> None:
        """As `Notice.wait`."""
        while not self._path.exists():
            await self._sleep(self._poll_s)


class SignalNotice:
    """SIGUSR1, from whoever knows."""

    name = "signal"

    def __init__(self, number: signal.Signals = signal.SIGUSR1) -> None:
        self._number = number

    async def is_there(self) -> bool:
        """As `Notice.is_there`: a signal is never there before it comes."""
        return False

    async def wait(self) -> None:
        """As `Notice.wait`."""
        came = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(self._number, came.set)
        try:
            await came.wait()
        finally:
            loop.remove_signal_handler(self._number)


@contextlib.asynccontextmanager
async def open_notices(settings: PreemptionSettings) -> AsyncIterator[list[Notice]]:
    """Return every way in which this machine may hear of its end, while the context is open."""
    notices: list[Notice] = [SignalNotice()]
    if settings.file:
        notices.append(FileNotice(Path(settings.file), settings.poll_s))
    async with httpx.AsyncClient(trust_env=False) as client:
        if settings.provider == "gcp":
            notices.append(GcpNotice(client, settings.url))
        elif settings.provider == "aws":
            notices.append(AwsNotice(client, settings.url, settings.poll_s))
        yield notices


class Preemption:
    """Stage: waits for a notice, then sets `leave` and drains the process."""

    name = "preemption"

    def __init__(self, notices: Sequence[Notice], leave: asyncio.Event) -> None:
        """`leave` is set first, so that work is given back rather than ended."""
        self._notices = notices
        self._leave = leave

    async def is_over(self) -> bool:
        """Return whether the machine's end has been told already; nothing is to be begun then."""
        for notice in self._notices:
            if await notice.is_there():
                log.warning("the machine is being taken away", extra={"told_by": notice.name})
                return True
        return False

    async def run(self, ctx: Ctx) -> None:
        """Wait for a notice until drained."""
        await self.watch(ctx.draining, ctx.meter)

    async def watch(self, drain: asyncio.Event, meter: Meter) -> None:
        """Wait for a notice until `drain` is set, and set it when one comes."""
        draining = asyncio.create_task(drain.wait())
        waits = {asyncio.create_task(each.wait(), name=each.name) for each in self._notices}
        try:
            done, _ = await asyncio.wait({draining, *waits}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in (draining, *waits):
                wait.cancel()
            await asyncio.gather(draining, *waits, return_exceptions=True)
        for notice in done - {draining}:
            notice.result()
            log.warning("the machine is being taken away", extra={"told_by": notice.get_name()})
            meter.count("clipthat_preemption_notices_total", told_by=notice.get_name())
            self._leave.set()
            drain.set()
