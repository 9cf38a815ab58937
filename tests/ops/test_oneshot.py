"""A one-shot run is complete only when its last step has really been done."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bus.stage import Ctx
from ops.oneshot import Finish
from store.errors import StorageFull


class FullFolder:
    """An export whose folder has no space left."""

    def finished(self, session_id: str) -> asyncio.Event:
        done = asyncio.Event()
        done.set()
        return done

    async def bring_features(self, tenant_id: str, session_id: str) -> bool:
        raise StorageFull("no space is left")


async def test_a_full_disk_at_the_very_end_is_no_success() -> None:
    follow = SimpleNamespace(done=asyncio.Event())
    follow.done.set()
    watch = SimpleNamespace(session_id="s")
    parts = SimpleNamespace(settings=SimpleNamespace(tenant_id="t"), objects=None)
    ctx = Ctx(bus=cast(Any, None))
    finish = Finish(cast(Any, follow), cast(Any, FullFolder()), cast(Any, watch), cast(Any, parts))
    with pytest.raises(StorageFull):
        await finish.run(ctx)
    assert not finish.complete
    assert not ctx.draining.is_set()
