"""Where one output is made: tries, progress and how it ends, whoever has asked for it.

Law: an output that cannot be made is an event like one that can; only what is not the output's
fault is an error here.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from bus.events import RenderFailed, RenderFinished, RenderQueued
from bus.ports import Meter
from render.errors import RenderError, SourceMissing
from render.making import make
from render.outputs import OutputShelf
from render.progress import Progress, Tell
from render.settings import RenderSettings
from render.spec import RenderSpec
from render.words import SpokenWord, parse_words
from render.workplace import workplace
from store.errors import ObjectMissing
from store.objects import Objects, download

log = logging.getLogger(__name__)


def at_once(settings: RenderSettings) -> int:
    """Return how many outputs are made at the same time on this machine."""
    return settings.concurrency or max(1, (os.cpu_count() or 1) // 2)


class Workbench:
    """Makes outputs, one at each call."""

    def __init__(self, objects: Objects, settings: RenderSettings) -> None:
        self._objects = objects
        self._settings = settings
        self._shelf = OutputShelf(objects)

    async def make(
        self, queued: RenderQueued, tell: Tell, meter: Meter, token: int | None = None
    ) -> RenderFinished | RenderFailed:
        """Make one output and store it, or say why it cannot be made.

        Args:
            queued: what is wanted.
            tell: hears of the progress.
            meter: counts.
            token: of the lease under which it is made; its files lie under it.

        Raises:
            StorageFull: there is no room for it.
        """
        started_s = asyncio.get_running_loop().time()
        failure: RenderError | None = None
        for _ in range(max(1, self._settings.attempts_max)):
            try:
                finished = await self._try(queued, tell, meter, token)
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
                meter.count("clipthat_render_tries_failed_total", reason=error.reason)
                if not error.again:
                    break
            else:
                spent_s = asyncio.get_running_loop().time() - started_s
                meter.observe("clipthat_render_seconds", spent_s, layout=queued.layout)
                meter.count("clipthat_renders_total", layout=queued.layout, outcome="finished")
                return finished
        assert failure is not None
        meter.count("clipthat_renders_total", layout=queued.layout, outcome="failed")
        return RenderFailed(
            tenant_id=queued.tenant_id,
            channel_id=queued.channel_id,
            session_id=queued.session_id,
            render_id=queued.render_id,
            clip_id=queued.clip_id,
            layout=queued.layout,
            reason=failure.reason,
            detail=str(failure)[:2000],
        )

    async def _try(
        self, queued: RenderQueued, tell: Tell, meter: Meter, token: int | None
    ) -> RenderFinished:
        spec = RenderSpec.of(queued, self._settings)
        with workplace(self._settings.work_dir) as folder:
            source = folder / "source"
            words, notes = await self._fetch(queued, source)
            async with Progress(queued, tell, meter) as progress:
                made = await make(spec, source, words, folder, progress.at)
            return await self._shelf.put(queued, made, notes, token)

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
