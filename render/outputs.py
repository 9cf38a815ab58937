"""Finished outputs in the object store.

Law: the manifest is stored last, so an output with a manifest is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import orjson

from bus.events import RenderFinished, RenderQueued
from render.making import Made
from store.errors import ObjectMissing
from store.keys import render_folder, render_key
from store.objects import Objects

_MANIFEST = "render.json"


class OutputShelf:
    """Where finished outputs stand."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def find(self, queued: RenderQueued) -> RenderFinished | None:
        """Return what was finished for this render before, if all of it is still there."""
        try:
            manifest = orjson.loads(await self._objects.get(_key(queued, _MANIFEST)))
            manifest["notes"] = tuple(manifest.get("notes", ()))
            finished = RenderFinished(**manifest)
        except (ObjectMissing, ValueError, TypeError):
            return None
        folder = finished.output_key.rpartition("/")[0]
        sizes = {info.key: info.size_bytes for info in await self._objects.list(folder)}
        wanted = {finished.output_key, finished.thumbnail_key, finished.captions_key} - {None}
        whole = wanted <= set(sizes) and sizes[finished.output_key] == finished.size_bytes
        return finished if whole else None

    async def put(
        self,
        queued: RenderQueued,
        made: Made,
        notes: tuple[str, ...],
        token: int | None = None,
    ) -> RenderFinished:
        """Store an output and return the event that tells of it.

        `token`: of the lease under which it was made.

        Raises:
            StorageFull: no space is left.
        """
        output_key = _key(queued, made.video.name, token)
        thumbnail_key = _key(queued, made.thumbnail.name, token)
        captions_key = _key(queued, made.captions.name, token) if made.captions else None
        finished = RenderFinished(
            tenant_id=queued.tenant_id,
            channel_id=queued.channel_id,
            session_id=queued.session_id,
            render_id=queued.render_id,
            clip_id=queued.clip_id,
            layout=queued.layout,
            output_key=output_key,
            thumbnail_key=thumbnail_key,
            captions_key=captions_key,
            width=made.width,
            height=made.height,
            duration_s=made.duration_s,
            size_bytes=made.video.stat().st_size,
            loudness_lufs=made.loudness_lufs,
            notes=(*notes, *made.notes),
        )
        if made.captions is not None and captions_key is not None:
            await self._objects.put(captions_key, made.captions)
        await self._objects.put(thumbnail_key, made.thumbnail)
        await self._objects.put(output_key, made.video)
        await self._objects.put(_key(queued, _MANIFEST, token), orjson.dumps(asdict(finished)))
        return finished

    async def forget_before(self, queued: RenderQueued, token: int) -> None:
        """Remove what workers with older tokens have left; none of it will ever be shown."""
        await self._forget(queued, lambda other: other < token)

    async def forget(self, queued: RenderQueued, token: int) -> None:
        """Remove what was made under a lease whose result was refused."""
        await self._forget(queued, lambda other: other == token)

    async def _forget(self, queued: RenderQueued, old: Callable[[int], bool]) -> None:
        folder = render_folder(queued.tenant_id, queued.clip_id, queued.render_id)
        keys = [info.key for info in await self._objects.list(folder)]
        gone = []
        for key in keys:
            below = key.removeprefix(f"{folder}/").partition("/")
            if below[1] and below[0].isdecimal() and old(int(below[0])):
                gone.append(key)
        if gone:
            await self._objects.delete(gone)


def _key(queued: RenderQueued, name: str, token: int | None = None) -> str:
    return render_key(queued.tenant_id, queued.clip_id, queued.render_id, name, token)
