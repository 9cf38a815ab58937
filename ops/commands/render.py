"""`clipthat render --once`: one output for the control role, then the end.

Law: it knows the objects and the control role alone; no bus, no database.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
from rich.console import Console

from bus.codec import encode
from bus.events import RenderFailed, RenderFinished, RenderProgressed
from ops.bootstrap import open_store
from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.errors import OpsError
from ops.folder import STATE_NAME
from ops.logs import configure_logs
from ops.metrics import PrometheusMeter
from ops.preemption import Preemption, open_notices
from ops.settings import Settings
from ops.supervisor import signals
from ops.workers import open_leases
from render.leased import LeasedRenderer
from store.errors import StoreError
from store.lease_keeper import Ended
from store.leases import LeaseError

NOTHING_TO_DO = 3
"""Exit code when no output waits."""

_UNDONE: dict[Ended, str] = {
    "lost": "the lease was lost: another worker makes this output by now",
    "given_back": "stopped before it was done; the output is given back to others",
    "broke": "the output could not be made for a reason that is no fault of its clip; it will be"
    " tried again. Run with --verbose to see why",
}


def render_command(once: bool, options: Options) -> int:
    """Make one output; 3 when none waits, 1 when it cannot be done."""
    if not once:
        complain(
            "clipthat render makes one output and ends: say --once. A worker that goes on is"
            " `clipthat run --roles render`"
        )
        return FAILED
    try:
        settings = loaded(options).settings
        log = settings.log if options.verbose else replace(settings.log, level="ERROR")
        configure_logs(log, role="render")
        return asyncio.run(_once(settings, options))
    except (OpsError, StoreError) as error:
        complain(str(error))
        return FAILED


async def _once(settings: Settings, options: Options) -> int:
    leave, draining, meter = asyncio.Event(), asyncio.Event(), PrometheusMeter()
    console = Console(stderr=True)
    objects = open_store(settings, settings.data_dir / STATE_NAME)

    async def tell(progress: RenderProgressed) -> None:
        _say(progress, f"{progress.percent} %", options, console)

    async with (
        open_leases(settings, "render", None) as leases,
        open_notices(settings.preemption) as notices,
    ):
        renderer = LeasedRenderer(
            objects,
            replace(settings.render, concurrency=1),
            leases,
            beat_s=settings.leases.render_beat_s,
            pool=settings.worker.pool,
            leave=leave,
        )
        with signals(draining):
            hearing = asyncio.create_task(Preemption(notices, leave).watch(draining, meter))
            try:
                ended, made = await renderer.once(draining, tell, meter)
            except LeaseError as error:
                raise OpsError(str(error)) from error
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)
    if ended is None:
        console.print("no output waits to be made", highlight=False)
        return NOTHING_TO_DO
    if ended != "done" or made is None:
        complain(_UNDONE.get(ended, ended))
        return FAILED
    _say(made, _told(made), options, console)
    return OK


def _told(made: RenderFinished | RenderFailed) -> str:
    if isinstance(made, RenderFailed):
        return f"cannot be made: {made.reason}; {made.detail}"
    return f"finished: {made.output_key}"


def _say(
    event: RenderProgressed | RenderFinished | RenderFailed,
    text: str,
    options: Options,
    console: Console,
) -> None:
    if options.as_json:
        print(orjson.dumps({"type": event.TYPE, "event": orjson.loads(encode(event))}).decode())
    else:
        console.print(f"render {event.render_id}: {text}", highlight=False, soft_wrap=True)
