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

from ingest.chat.eventsub import EventSubHub
from ingest.watch import Watch
from ops.bootstrap import Parts
from ops.commands.live import live_watch
from ops.errors import OpsError
from ops.leased_ingest import LeasedIngest
from ops.settings import Settings, WorkerSettings
from render.leased import LeasedRenderer
from store.channel_work import ChannelWork
from store.control_client import ControlLeases
from store.control_tokens import ControlTokens
from store.fenced import FencedObjects
from store.held_lease import HeldLease
from store.leased_tokens import LeasedTokens
from store.leases import Beat, Kind, Leases, LeasesRefused
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
    if book is not None:
        yield LocalLeases(book, worker_name(settings.worker, kind))
        return
    async with _open_control(settings, kind) as leases:
        yield leases


@asynccontextmanager
async def _open_control(settings: Settings, kind: Kind) -> AsyncIterator[ControlLeases]:
    name, pool = worker_name(settings.worker, kind), settings.worker.pool
    try:
        async with ControlLeases.open(
            settings.control, worker=name, kinds=(kind,), pool=pool
        ) as leases:
            yield leases
    except LeasesRefused as error:
        raise OpsError(str(error)) from error


@asynccontextmanager
async def open_leased_ingest(
    parts: Parts,
    leave: asyncio.Event,
    book: LeaseBook | None = None,
    eventsub: EventSubHub | None = None,
) -> AsyncIterator[LeasedIngest]:
    """Open the stage that watches leased channels; it must have ended before the context does.

    Args:
        parts: what the process is made of.
        leave: set when the machine is about to be taken away.
        book: the book itself, in the control role's own process.
        eventsub: hears connected channels there, where the accounts are.

    Raises:
        OpsError: the control role's address or secret is not set, or of no use.
    """
    settings = parts.settings
    if book is not None:
        async with open_leases(settings, "ingest", book) as leases:
            yield _leased_ingest(parts, leases, leave, eventsub)
        return
    async with _open_control(settings, "ingest") as control:
        tokens = LeasedTokens(ControlTokens(control))
        hub = EventSubHub(
            settings.twitch, tokens, eventsub=settings.chat.eventsub, meter=parts.meter
        )
        try:
            yield _leased_ingest(parts, control, leave, hub, tokens)
        finally:
            await hub.close()


def _leased_ingest(
    parts: Parts,
    leases: Leases,
    leave: asyncio.Event,
    eventsub: EventSubHub | None,
    tokens: LeasedTokens | None = None,
) -> LeasedIngest:
    """Return the stage; `tokens`: what event sockets ask, away from the accounts."""
    settings = parts.settings

    async def make_watch(work: ChannelWork, held: HeldLease, stop: asyncio.Event) -> Watch:
        if tokens is not None:
            tokens.hold(work, held)
        return await live_watch(
            settings,
            replace(parts, objects=FencedObjects(parts.objects, held.check)),
            stop,
            work.url,
            work.chat,
            title=work.title,
            eventsub=eventsub,
            kept=True,
        )

    def heard(beat: Beat) -> None:
        if tokens is not None and eventsub is not None:
            for login in tokens.heard(beat):
                eventsub.look_again(login)

    return LeasedIngest(
        make_watch,
        leases,
        settings.supervisor,
        channels_max=settings.ingest.channels_max,
        beat_s=settings.leases.ingest_beat_s,
        pool=settings.worker.pool,
        leave=leave,
        heard=heard,
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
