"""`clipthat workers`: the fleet in a terminal.

Law: it changes nothing, and makes no database where there is none.
"""

from __future__ import annotations

import asyncio

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops.bootstrap import open_state
from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.errors import OpsError
from ops.folder import STATE_NAME
from ops.settings import Settings
from store.control_client import read_workers
from store.errors import StoreError
from store.state.fleet import Fleet, FleetWorker
from store.state.fleet_views import FleetViews
from store.worker_names import process_of
from web.control import FLEET
from web.fleet_words import (
    heard_text,
    holding_text,
    standing_text,
    state_text,
    told,
    waited_text,
    waiting_text,
)

HOLDS_MAX = 3
"""So much of what a worker holds is named."""

_COLOURS = {"at_work": "green", "draining": "yellow", "silent": "red", "gone": "red"}


def workers_command(options: Options) -> int:
    """Print the workers and what waits for them; 1 when nobody can be asked."""
    try:
        fleet = asyncio.run(_read(loaded(options).settings))
    except (OpsError, StoreError) as error:
        complain(str(error))
        return FAILED
    if options.as_json:
        print(FLEET.dump_json(fleet).decode())
    else:
        _show(fleet, Console())
    return OK


async def _read(settings: Settings) -> Fleet:
    """Ask control, or look into the database beside us.

    Raises:
        OpsError: neither can be asked, and why.
        StoreError: whoever was asked does not answer.
    """
    if settings.control.url:
        try:
            return FLEET.validate_python(await read_workers(settings.control))
        except ValidationError:
            raise OpsError("control's answer is not what this version understands") from None
    folder = settings.data_dir / STATE_NAME
    if not settings.database_url and not (folder / "state.db").exists():
        raise OpsError(
            f"no control role has run in {settings.data_dir}: name its data_dir or database_url,"
            " or ask it where it answers: control.url and control.secret"
        )
    async with open_state(settings, folder) as state:
        return await FleetViews(state, settings.leases, tenant_id=settings.tenant_id).read()


def _show(fleet: Fleet, console: Console) -> None:
    if fleet.workers:
        console.print(_table([*fleet.of("ingest"), *fleet.of("render"), *fleet.over]))
    for one in fleet.waiting:
        why = told(one)
        look = "yellow" if why.urgent else "default"
        what = f"{waiting_text(one)} {waited_text(one)}".rstrip()
        console.print(
            f"[{look}]{what}[/]: {escape(why.plain)}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(standing_text(fleet), highlight=False)
    if not fleet.workers and not fleet.waiting:
        console.print(
            "start one with `clipthat run --roles ingest` or `clipthat run --roles render`, on this"
            " machine or another; one process without --roles needs none",
            highlight=False,
        )


def _table(workers: list[FleetWorker]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("worker", "role", "pool", "state", "holds", "heard of", "at work on"):
        table.add_column(heading, overflow="fold")
    for one in workers:
        colour = _COLOURS.get(one.state, "default")
        table.add_row(
            escape(" ".join(part for part in (one.machine, process_of(one.name)) if part)),
            one.kind,
            one.pool,
            f"[{colour}]{state_text(one)}[/]",
            f"{one.used}/{one.slots}",
            heard_text(one).removeprefix("heard of "),
            escape(_holds(one)),
        )
    return table


def _holds(worker: FleetWorker) -> str:
    names = [holding_text(one) for one in worker.holds]
    more = len(names) - HOLDS_MAX
    return "; ".join([*names[:HOLDS_MAX], *([f"{more} more"] if more > 0 else [])])
