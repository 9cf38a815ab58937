"""The two stages of this room: what is to be rendered, and the rendering itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from bus.consume import consume, consume_each
from bus.events import ClipCut, RenderFailed, RenderProgressed, RenderQueued
from bus.ports import Record
from bus.stage import Ctx
from bus.turns import Turns
from render.errors import RenderError, SourceMissing
from render.making import make
from render.outputs import OutputShelf
from render.settings import RenderSettings
from render.spec import RenderSpec
from render.words import SpokenWord, parse_words
from render.workplace import clear_stale, workplace
from store.errors import ObjectMissing
from store.objects import Objects, download

log = logging.getLogger(__name__)

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
        at_once = self._settings.concurrency or max(1, (os.cpu_count() or 1) // 2)

        turns = Turns(at_once)

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
        await self._try(ctx, queued)

    async def _try(self, ctx: Ctx, queued: RenderQueued) -> None:
        """Make one output, or say why it cannot be made."""
        started_s = asyncio.get_running_loop().time()
        failure: RenderError | None = None
        for _ in range(max(1, self._settings.attempts_max)):
            try:
                await self._make(ctx, queued)
            except RenderError as error:
                failure = error
                log.warning(
                    "a try to render failed",
                    extra={
                        "render_id": queued.render_id,
                        "layout": queued.layout,
                        "reason": error.reason,
                        "detail": str(error)[-500:],
                    },
                )
                ctx.meter.count("clipthat_render_tries_failed_total", reason=error.reason)
                if not error.again:
                    break
            else:
                spent_s = asyncio.get_running_loop().time() - started_s
                ctx.meter.observe("clipthat_render_seconds", spent_s, layout=queued.layout)
                ctx.meter.count("clipthat_renders_total", layout=queued.layout, outcome="finished")
                return
        assert failure is not None
        ctx.meter.count("clipthat_renders_total", layout=queued.layout, outcome="failed")
        await ctx.bus.publish(
            [
                RenderFailed(
                    tenant_id=queued.tenant_id,
                    channel_id=queued.channel_id,
                    session_id=queued.session_id,
                    render_id=queued.render_id,
                    clip_id=queued.clip_id,
                    layout=queued.layout,
                    reason=failure.reason,
                    detail=str(failure)[:2000],
                )
            ]
        )

    async def _make(self, ctx: Ctx, queued: RenderQueued) -> None:
        spec = RenderSpec.of(queued, self._settings)
        told = 0

        async def on_percent(percent: int) -> None:
            nonlocal told
            if percent // 10 > told // 10:
                told = percent // 10 * 10
                await ctx.bus.publish([_progress(queued, told)])

        with workplace(self._settings.work_dir) as folder:
            source = folder / "source"
            words, notes = await self._fetch(queued, source)
            made = await make(spec, source, words, folder, on_percent)
            await ctx.bus.publish([await self._shelf.put(queued, made, notes)])

    async def _fetch(
        self, queued: RenderQueued, to: Path
    ) -> tuple[list[SpokenWord] | None, tuple[str, ...]]:
        try:
            await download(self._objects, queued.source_key, to)
        except ObjectMissing as error:
            raise SourceMissing(f"no object {queued.source_key}") from error
        if queued.words_key is None:
            return None, ()
        try:
            return parse_words(await self._objects.get(queued.words_key)), ()
        except ObjectMissing:
            return None, ("the words are gone from the store",)
        except ValueError as error:
            return None, (f"the words cannot be read: {error}",)


def _progress(queued: RenderQueued, percent: int) -> RenderProgressed:
    return RenderProgressed(
        tenant_id=queued.tenant_id,
        channel_id=queued.channel_id,
        session_id=queued.session_id,
        render_id=queued.render_id,
        clip_id=queued.clip_id,
        percent=percent,
    )
