"""The two stages of this room: what is to be rendered, and the rendering itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from bus.consume import consume, consume_each
from bus.events import ClipCut, RenderProgressed, RenderQueued
from bus.ports import Record
from bus.stage import Ctx
from bus.turns import Turns
from render.outputs import OutputShelf
from render.settings import RenderSettings
from render.spec import RenderSpec
from render.workbench import Workbench, at_once
from render.workplace import clear_stale
from store.objects import Objects

_IN_HAND_MAX = 512
"""Renders that are known and not made; among them live ones go first."""


def queue_renders(clip: ClipCut, settings: RenderSettings) -> list[RenderQueued]:
    """Return the renders of a clip, the most wanted first."""
    queued = []
    for layout in settings.layouts:
        spec = RenderSpec(
            tenant_id=clip.tenant_id,
            clip_id=clip.clip_id,
            layout=layout,
            source_key=clip.source_key,
            in_s=clip.in_s,
            out_s=clip.out_s,
            title=clip.title,
            words_key=clip.words_key,
            style=settings,
        )
        queued.append(
            RenderQueued(
                tenant_id=clip.tenant_id,
                channel_id=clip.channel_id,
                session_id=clip.session_id,
                render_id=spec.render_id,
                clip_id=clip.clip_id,
                layout=layout,
                source_key=clip.source_key,
                in_s=clip.in_s,
                out_s=clip.out_s,
                title=clip.title,
                words_key=clip.words_key,
                replay=clip.replay,
            )
        )
    return queued


class RenderQueue:
    """Asks for the configured outputs of every clip that is cut."""

    name = "render_queue"

    def __init__(self, settings: RenderSettings) -> None:
        self._settings = settings

    async def run(self, ctx: Ctx) -> None:
        """Follow `clips` and publish RenderQueued until drained."""

        async def handle(records: Sequence[Record]) -> None:
            queued = [
                render
                for record in records
                if isinstance(record.event, ClipCut)
                for render in queue_renders(record.event, self._settings)
            ]
            if queued:
                await ctx.bus.publish(queued)

        await consume(ctx, self.name, ["clips"], handle)


class Renderer:
    """Makes the outputs that are asked for, a few at a time; those of live sessions first."""

    name = "renderer"

    def __init__(self, objects: Objects, settings: RenderSettings) -> None:
        self._objects = objects
        self._settings = settings
        self._shelf = OutputShelf(objects)
        self._workbench = Workbench(objects, settings)

    async def run(self, ctx: Ctx) -> None:
        """Follow `renders` and make what is queued.

        A stop kills the encoders and commits nothing that is not made: it comes again.

        Raises:
            StorageFull: there is no room for the outputs; what is not made is not committed.
        """
        await asyncio.to_thread(clear_stale, self._settings.work_dir)
        consuming = asyncio.create_task(self._consume(ctx), name="renderer")
        draining = asyncio.create_task(ctx.draining.wait(), name="renderer draining")
        try:
            await asyncio.wait({consuming, draining}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            draining.cancel()
            consuming.cancel()
            # Asked for its result also when this stage is cancelled: an error that nobody takes
            # is logged with its traceback when the task is collected.
            with contextlib.suppress(asyncio.CancelledError):
                await consuming

    async def _consume(self, ctx: Ctx) -> None:
        turns = Turns(at_once(self._settings))

        async def handle(record: Record) -> None:
            if isinstance(record.event, RenderQueued):
                async with turns.turn(live=not record.event.replay):
                    await self._one(ctx, record.event)

        await consume_each(ctx, self.name, ["renders"], handle, in_hand_max=_IN_HAND_MAX)

    async def _one(self, ctx: Ctx, queued: RenderQueued) -> None:
        whole = await self._shelf.find(queued)
        if whole is not None:
            ctx.meter.count("clipthat_renders_total", layout=queued.layout, outcome="kept")
            await ctx.bus.publish([whole])
            return

        async def tell(progress: RenderProgressed) -> None:
            await ctx.bus.publish([progress])

        await ctx.bus.publish([await self._workbench.make(queued, tell, ctx.meter)])
