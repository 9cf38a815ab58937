"""The stages of a process that leases its work, and where its leases come from.

Law: beside the database a worker asks the book itself; everywhere else it asks the control role.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ingest.watch import Watch
from ops.bootstrap import Parts
from ops.commands.live import live_watch
from ops.errors import OpsError
from ops.leased_ingest import LeasedIngest
from ops.settings import Settings, WorkerSettings
from render.leased import LeasedRenderer
from store.channel_work import ChannelWork
from store.control_client import ControlLeases
from store.fenced import FencedObjects
from store.held_lease import HeldLease
from store.leases import Kind, Leases, LeasesRefused
from store.state.leases import LeaseBook
from store.state.local_leases import LocalLeases
from store.worker_names import make_worker_name


def worker_name(settings: WorkerSettings, kind: Kind) -> str:
    """Return a name that no other worker has, by which a person finds the machine."""
    process = f"{os.getpid()}-{secrets.token_hex(3)}"
    return make_worker_name(settings.name or socket.gethostname(), kind, process)


@asynccontextmanager
async def open_leases(
    settings: Settings, kind: Kind, book: LeaseBook | None
) -> AsyncIterator[Leases]:
    """Open the place where leases of one kind come from, for as long as the context is open.

    Args:
        settings: where the control role is, when it is another process.
        kind: what will be asked for.
        book: the book itself, in the control role's own process.

    Raises:
        OpsError: the control role's address or secret is not set, or of no use.
    """
    name = worker_name(settings.worker, kind)
    if book is not None:
        yield LocalLeases(book, name)
        return
    try:
        async with ControlLeases.open(
            settings.control, worker=name, kinds=(kind,), pool=settings.worker.pool
        ) as leases:
            yield leases
    except LeasesRefused as error:
        raise OpsError(str(error)) from error


def leased_ingest(parts: Parts, leases: Leases, leave: asyncio.Event) -> LeasedIngest:
    """Return the stage that watches leased channels; `leave`: the machine is to be taken away."""
    settings = parts.settings

    async def make_watch(work: ChannelWork, held: HeldLease, stop: asyncio.Event) -> Watch:
        fenced = replace(parts, objects=FencedObjects(parts.objects, held.check))
        return await live_watch(
            settings, fenced, stop, work.url, work.chat, title=work.title, kept=True
        )

    return LeasedIngest(
        make_watch,
        leases,
        settings.supervisor,
        channels_max=settings.ingest.channels_max,
        beat_s=settings.leases.ingest_beat_s,
        pool=settings.worker.pool,
        leave=leave,
    )


def leased_renderer(parts: Parts, leases: Leases, leave: asyncio.Event) -> LeasedRenderer:
    """Return the stage that makes leased outputs; `leave`: the machine is to be taken away."""
    settings = parts.settings
    return LeasedRenderer(
        parts.objects,
        settings.render,
        leases,
        beat_s=settings.leases.render_beat_s,
        pool=settings.worker.pool,
        leave=leave,
    )
