"""Stands in for the object store and the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bus.events import ClipCut, Event, RenderQueued
from bus.local import LocalBus
from bus.stage import Ctx
from store.errors import ObjectMissing
from store.objects import ObjectInfo


class MemoryObjects:
    """Objects in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes | Path) -> None:
        self.kept[key] = data if isinstance(data, bytes) else data.read_bytes()

    async def get(self, key: str) -> bytes:
        if key not in self.kept:
            raise ObjectMissing(key)
        return self.kept[key]

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.kept.pop(key, None)

    async def list(self, prefix: str) -> Sequence[ObjectInfo]:
        return [
            ObjectInfo(key, len(body))
            for key, body in sorted(self.kept.items())
            if key.startswith(prefix.rstrip("/") + "/")
        ]


@asynccontextmanager
async def local_ctx(folder: Path) -> AsyncIterator[Ctx]:
    """A context with a local bus of its own."""
    async with LocalBus.open(folder / "bus.db") as bus:
        yield Ctx(bus=bus)


async def read_until(ctx: Ctx, topic: str, kind: type[Event], count: int) -> list[Event]:
    """Return all events of a topic, once `count` of `kind` have come."""
    seen: list[Event] = []
    async with ctx.bus.subscribe(f"test-{kind.__name__}-{count}", [topic]) as subscription:
        while sum(isinstance(event, kind) for event in seen) < count:
            seen += [record.event for record in await subscription.fetch(100, 0.2)]
    return seen


def a_clip(**changes: object) -> ClipCut:
    """A cut of three seconds."""
    fields: dict[str, object] = {
        "tenant_id": "tenant",
        "channel_id": "channel",
        "session_id": "session",
        "clip_id": "clip",
        "source_key": "source.mp4",
        "in_s": 0.5,
        "out_s": 2.5,
        "start_s": 100.5,
        "peak_s": 101.0,
        "end_s": 102.5,
        "gap_s": 0.0,
        "width": 320,
        "height": 180,
        "fps": 30.0,
        "has_audio": True,
        "title": "A title",
    }
    return ClipCut(**{**fields, **changes})  # type: ignore[arg-type]


def a_queued(**changes: object) -> RenderQueued:
    """A landscape render of that cut."""
    fields: dict[str, object] = {
        "tenant_id": "tenant",
        "channel_id": "channel",
        "session_id": "session",
        "render_id": "render",
        "clip_id": "clip",
        "layout": "landscape",
        "source_key": "source.mp4",
        "in_s": 0.5,
        "out_s": 2.5,
        "title": "A title",
    }
    return RenderQueued(**{**fields, **changes})  # type: ignore[arg-type]
