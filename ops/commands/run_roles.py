"""`clipthat run --roles`: one process of many.

Law: what a process does follows from its roles alone; a process without the control role opens no
database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bus.stage import Ctx, Stage
from ingest.chat.eventsub import EventSubHub
from ops.bootstrap import (
    Parts,
    clip_stages,
    detect_stages,
    open_parts,
    open_state,
    web_stage,
    worker_web_stage,
)
from ops.commands.fixed import Fixed
from ops.errors import OpsError
from ops.lag import LagWatch
from ops.leased_ingest import LeasedIngest
from ops.preemption import Preemption, open_notices
from ops.roles import Roles
from ops.settings import Settings
from ops.supervisor import Supervisor, signals
from ops.twitch import open_twitch
from ops.workers import leased_renderer, open_leased_ingest, open_leases
from store.channel_work import ChannelWork
from store.lease_keeper import LeaseKeeper
from store.state.ingest_wants import IngestWants
from store.state.lease_desk import LeaseDesk
from store.state.lease_views import LeaseViews
from store.state.leases import LeaseBook
from store.state.lent_tokens import LentTokens
from store.state.recorder import Recorder
from web.control_door import ControlAccess
from web.health import Health, StageHealth
from web.stage import Web


@dataclass(kw_only=True, slots=True)
class _Process:
    """What one process runs."""

    parts: Parts
    supervisor: Supervisor
    stages: list[Stage] = field(default_factory=list)
    book: LeaseBook | None = None
    eventsub: EventSubHub | None = None
    wants: IngestWants | None = None
    ingest: LeasedIngest | None = None
    keepers: dict[str, LeaseKeeper] = field(default_factory=dict)

    def health(self) -> Health:
        """Return how all that runs here stands."""
        told = (
            *(
                StageHealth(name=name, ok=not trouble, detail=trouble)
                for name, trouble in self.supervisor.troubles.items()
            ),
            *(
                # A control role that is away is no fault of this process: it must not be restarted.
                StageHealth(name=f"leases {kind}", ok=not keeper.refusal, detail=keeper.trouble)
                for kind, keeper in self.keepers.items()
            ),
            *self._channels(),
        )
        return Health(ok=all(stage.ok for stage in told), stages=told)

    def _channels(self) -> Iterator[StageHealth]:
        stand = {} if self.wants is None else self.wants.states
        here = {} if self.ingest is None else self.ingest.states
        for name, state in {**stand, **here}.items():
            yield StageHealth(name=f"watch {name}", ok=True, detail=state)


async def serve_roles(
    settings: Settings, roles: Roles, fixed: Mapping[str, Fixed], folder: Path
) -> None:
    """Do the work of these roles until SIGTERM or Ctrl-C.

    Raises:
        OpsError: a part cannot be opened, and why.
    """
    leave = asyncio.Event()
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(open_parts(settings, folder))
        ctx = Ctx(bus=parts.bus, meter=parts.meter)
        notices = await stack.enter_async_context(open_notices(settings.preemption))
        preemption = Preemption(notices, leave)
        if await preemption.is_over():
            return
        process = _Process(parts=parts, supervisor=Supervisor(ctx, settings.supervisor))
        if "control" in roles:
            web = await _control(process, fixed, folder, stack)
        else:
            web = worker_web_stage(parts, process.health)
        if "ingest" in roles:
            process.ingest = await stack.enter_async_context(
                open_leased_ingest(parts, leave, process.book, process.eventsub)
            )
            process.keepers["ingest"] = process.ingest.keeper
            process.stages.append(process.ingest)
        if "detect" in roles:
            process.stages += detect_stages(parts)
        if "clip" in roles:
            process.stages += clip_stages(parts)
        if "render" in roles:
            leases = await stack.enter_async_context(open_leases(settings, "render", process.book))
            renderer = leased_renderer(parts, leases, leave)
            process.keepers["render"] = renderer.keeper
            process.stages.append(renderer)
        for role in roles:
            parts.meter.gauge("clipthat_role", 1, role=role)
        with signals(ctx.draining):
            announcing = asyncio.create_task(_announce(web.address, roles))
            try:
                await process.supervisor.run([web, preemption, *process.stages])
            finally:
                announcing.cancel()


async def _control(
    process: _Process, fixed: Mapping[str, Fixed], folder: Path, stack: AsyncExitStack
) -> Web:
    """Add what the control role does, and return its pages."""
    parts, settings = process.parts, process.parts.settings
    state = await stack.enter_async_context(open_state(settings, folder))
    twitch = await stack.enter_async_context(open_twitch(parts, state, folder))
    book = LeaseBook(state, settings.leases, tenant_id=settings.tenant_id, meter=parts.meter)
    wants = IngestWants(
        book,
        twitch.watchlist,
        fixed=[
            ChannelWork(
                id=one.place.id,
                name=one.place.name,
                url=one.place.url,
                kind=one.place.kind,
                chat=one.chat,
                title=one.title,
            )
            for one in fixed.values()
        ],
    )
    process.book, process.wants, process.eventsub = book, wants, twitch.eventsub
    process.stages += [
        *(Recorder(state), LeaseDesk(book), wants),
        *(twitch.keeper, twitch.native_clips, LagWatch()),
    ]
    lent = LentTokens(
        LeaseViews(state, tenant_id=settings.tenant_id),
        twitch.access.accounts,
        client_id=settings.twitch.client_id,
        meter=parts.meter,
    )
    control = ControlAccess(book=book, settings=settings.control, lent=lent, meter=parts.meter)
    return web_stage(parts, state, process.health, twitch.access, wants.fixed, control)


def refuse_channels(roles: Roles, urls: list[str]) -> None:
    """Refuse channels that are named where nobody would hear of them.

    Raises:
        OpsError: these roles do not choose what is watched.
    """
    if urls and not roles.has_database:
        raise OpsError(
            f"{urls[0]} is named to a worker, which watches what it is given: name channels where"
            " the control role runs, or on its page of channels"
        )


async def _announce(address: Callable[[], Awaitable[str]], roles: Roles) -> None:
    page = await address()
    what = "status page" if roles.has_database else "monitors"
    Console(stderr=True).print(f"roles {roles}; {what}: {page}", highlight=False)
