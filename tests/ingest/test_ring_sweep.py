"""A session's ring goes once its clips are cut, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bus.events import ClipCut, SessionClipped
from bus.local import LocalBus
from bus.stage import Ctx
from ingest.ring_sweep import RingSweep
from store.keys import clip_key, init_key, ring_key
from tests.ingest.world import DictObjects


class Swept(DictObjects):
    """Tells when something was deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted = asyncio.Event()

    async def delete(self, keys: Sequence[str]) -> None:
        await super().delete(keys)
        self.deleted.set()


def clipped(session_id: str) -> SessionClipped:
    return SessionClipped(tenant_id="t", channel_id="c", session_id=session_id, clips=1)


def cut(session_id: str, clip_id: str) -> ClipCut:
    return ClipCut(
        tenant_id="t",
        channel_id="c",
        session_id=session_id,
        clip_id=clip_id,
        source_key=clip_key("t", clip_id, "source.mp4"),
        in_s=0.0,
        out_s=1.0,
        start_s=0.0,
        peak_s=0.5,
        end_s=1.0,
        gap_s=0.0,
        width=1,
        height=1,
        fps=30.0,
        has_audio=True,
        title="",
    )


async def test_the_ring_of_a_session_that_is_cut_goes_and_nothing_else(tmp_path: Path) -> None:
    objects = Swept()
    mine = [ring_key("t", "one", 0, seq, "ts") for seq in range(3)] + [init_key("t", "one", "ab")]
    others = [
        *(ring_key("t", "other", 0, 0, "ts"), ring_key("u", "one", 0, 0, "ts")),
        clip_key("t", "clip", "source.mp4"),
    ]
    for key in (*mine, *others):
        await objects.put(key, b"media")
    async with LocalBus.open(tmp_path / "bus.db") as bus:
        ctx = Ctx(bus=bus)
        await bus.publish([cut("one", "clip"), cut("other", "clip2"), clipped("one")])
        running = asyncio.create_task(RingSweep(objects).run(ctx))
        await asyncio.wait_for(objects.deleted.wait(), 30)
        ctx.draining.set()
        await running
    assert sorted(objects.held) == sorted(others)
