"""`clipthat run --roles`: one process of many.

Law: what a process does follows from its roles alone; a process without the control role opens no
database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from bus.stage import Ctx, Stage
from ingest.watch import Watch
from ops.bootstrap import (
    Parts,
    clip_stages,
    detect_stages,
    open_parts,
    open_state,
    web_stage,
    worker_web_stage,
)
from ops.channels import KeepWatching
from ops.commands.fixed import Fixed
from ops.commands.live import live_watch
from ops.roles import Roles
from ops.settings import Settings
from ops.supervisor import Supervisor, signals
from ops.twitch import open_twitch
from render.stages import Renderer
from store.state.recorder import Recorder
from web.health import Health, StageHealth


async def serve_roles(
    settings: Settings, roles: Roles, fixed: Mapping[str, Fixed], folder: Path
) -> None:
    """Do the work of these roles until SIGTERM or Ctrl-C.

    Raises:
        OpsError: a part cannot be opened, and why.
    """
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(open_parts(settings, folder))
        ctx = Ctx(bus=parts.bus, meter=parts.meter)
        supervisor = Supervisor(ctx, settings.supervisor)
        stages: list[Stage] = []

        def health() -> Health:
            told = tuple(
                StageHealth(name=name, ok=not trouble, detail=trouble)
                for name, trouble in supervisor.troubles.items()
            )
            return Health(ok=all(stage.ok for stage in told), stages=told)

        if "control" in roles:
            state = await stack.enter_async_context(open_state(settings, folder))
            twitch = await stack.enter_async_context(open_twitch(parts, state, folder))
            web = web_stage(parts, state, health, twitch.access)
            stages += [Recorder(state), twitch.keeper, twitch.native_clips]
        else:
            web = worker_web_stage(parts, health)
        if "ingest" in roles:
            stages += _watches(parts, fixed)
        if "detect" in roles:
            stages += detect_stages(parts)
        if "clip" in roles:
            stages += clip_stages(parts)
        if "render" in roles:
            stages.append(Renderer(parts.objects, settings.render))
        for role in roles:
            parts.meter.gauge("clipthat_role", 1, role=role)
        with signals(ctx.draining):
            announcing = asyncio.create_task(_announce(web.address, roles))
            try:
                await supervisor.run([web, *stages])
            finally:
                announcing.cancel()


def _watches(parts: Parts, fixed: Mapping[str, Fixed]) -> list[Stage]:
    async def watch(one: Fixed) -> Watch:
        return await live_watch(
            parts.settings, parts, asyncio.Event(), one.place.url, one.chat, title=one.title
        )

    return [KeepWatching(one.place.name, partial(watch, one)) for one in fixed.values()]


async def _announce(address: Callable[[], Awaitable[str]], roles: Roles) -> None:
    page = await address()
    what = "status page" if roles.has_database else "monitors"
    Console(stderr=True).print(f"roles {roles}; {what}: {page}", highlight=False)
