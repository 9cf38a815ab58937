"""What a run stands on: the bus, the database and the objects, and how each is looked at.

Law: the fleet knows of it by settings alone, as on any machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ops.folder import STATE_NAME
from ops.settings import Settings, load_settings
from store.objects import Objects
from store.obstore_objects import open_objects
from store.state.state import State
from tests.chaos import leases
from tests.chaos.fleet import as_environment
from tests.chaos.truth import Truth, read_local

On = Literal["local", "cluster"]

_SECRET = "chaos-" * 8

QUICK: Mapping[str, object] = {
    "fetch.allow_private": True,
    "senses.phrase.enabled": False,
    "render.preset": "ultrafast",
    "render.vertical_width_px": 90,
    "render.layouts": ("vertical_blur",),
    "render.concurrency": 1,
    "clipper.live.cooldown_s": 20.0,
    "clipper.live.clips_per_hour": 10_000,
}
"""Settings that make each piece of work small and change nothing about how it is handed on."""


@dataclass
class Stand:
    """Where a run's bus, database and objects are."""

    folder: Path
    settings_by_name: dict[str, object]
    keys: Mapping[str, str]
    """Environment variables that are no settings, such as a bucket's keys."""
    read_truth: Callable[[], Awaitable[Truth]]
    look: leases.Look
    database_url: str

    @property
    def settings(self) -> Settings:
        """The settings as a worker reads them."""
        return load_settings(environment=as_environment(self.settings_by_name)).settings

    @property
    def environment(self) -> dict[str, str]:
        """What a worker is started with."""
        return {**as_environment(self.settings_by_name), **self.keys}

    def objects(self) -> Objects:
        """Open the objects from outside."""
        settings = self.settings
        folder = self.folder / "data" / STATE_NAME / "objects"
        os.environ.update(self.keys)
        return open_objects(settings.objects_url or folder.as_uri(), settings.objects)

    @contextlib.asynccontextmanager
    async def state(self) -> AsyncIterator[State]:
        """Open the database from outside."""
        async with State.open(self.database_url, tenant_id=self.settings.tenant_id) as state:
            yield state


def base(folder: Path, more: Mapping[str, object]) -> dict[str, object]:
    """Return the settings that every worker is started with."""
    port = free_port()
    return {
        **QUICK,
        "data_dir": str(folder / "data"),
        "web.port": port,
        "control.url": f"http://127.0.0.1:{port}",
        "control.secret": _SECRET,
        **more,
    }


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def local(folder: Path, more: Mapping[str, object]) -> AsyncIterator[Stand]:
    """Everything on this machine: the local bus, SQLite and a folder."""
    state = folder / "data" / STATE_NAME
    state.mkdir(parents=True)

    async def read_truth() -> Truth:
        return await asyncio.to_thread(read_local, state / "bus.db")

    yield Stand(
        folder=folder,
        settings_by_name=base(folder, more),
        keys={},
        read_truth=read_truth,
        look=leases.sqlite(state / "state.db"),
        database_url=f"sqlite:///{state / 'state.db'}",
    )


def opener(on: On) -> Callable[..., contextlib.AbstractAsyncContextManager[Any]]:
    """Return what opens a stand of a kind."""
    return {"local": local}[on]
