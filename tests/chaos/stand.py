"""What a run stands on: the bus, the database and the objects, and how each is looked at.

Law: the fleet knows of it by settings alone, as on any machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ops.folder import STATE_NAME
from ops.settings import Settings, load_settings
from store.objects import Objects
from store.obstore_objects import open_objects
from store.state.state import State
from tests.chaos import leases
from tests.chaos.fleet import as_environment
from tests.chaos.kafka_log import KafkaLog, following
from tests.chaos.truth import Truth, read_local
from tests.doubles.faulty_s3 import FaultyS3, faulty_s3
from tests.services.kafka_server import KafkaServer, why_no_kafka
from tests.services.postgres import Postgres, postgres_server
from tests.services.s3 import KEYS, S3

On = Literal["local", "stores", "cluster"]

_SECRET = "chaos-" * 8
_START_S = 120.0

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
    own_folders: bool = False
    """Whether workers share no folder."""
    worker_settings: dict[str, object] = field(default_factory=dict)
    """What workers are told otherwise than whoever looks from outside."""
    database: Postgres | None = None
    s3: S3 | None = None
    kafka: KafkaServer | None = None
    log: KafkaLog | None = None

    def folder_of(self, worker: str) -> tuple[str, ...]:
        """Return what a worker is told of its own folder."""
        if not self.own_folders:
            return ()
        return ("--set", f"data_dir={self.folder / 'data' / worker}")

    @property
    def settings(self) -> Settings:
        """The settings as a worker reads them."""
        return load_settings(environment=as_environment(self.settings_by_name)).settings

    @property
    def environment(self) -> dict[str, str]:
        """What a worker is started with."""
        told = {**self.settings_by_name, **self.worker_settings}
        return {**as_environment(told), **self.keys}

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


@contextlib.asynccontextmanager
async def stores(folder: Path, more: Mapping[str, object]) -> AsyncIterator[Stand]:
    """The local bus, but rows in PostgreSQL and objects in a bucket."""
    with postgres_server() as database, s3_process() as s3:
        async with _over_stores(folder, more, database, s3) as stand:
            yield stand


@contextlib.asynccontextmanager
async def _over_stores(
    folder: Path, more: Mapping[str, object], database: Postgres, s3: S3
) -> AsyncIterator[Stand]:
    name = await database.fresh()
    bus = folder / "data" / STATE_NAME
    bus.mkdir(parents=True)

    async def read_truth() -> Truth:
        return await asyncio.to_thread(read_local, bus / "bus.db")

    yield Stand(
        folder=folder,
        settings_by_name=base(folder, {**over(database.url(name), s3), **more}),
        keys=KEYS,
        read_truth=read_truth,
        look=leases.postgres(database.url(name, "postgres")),
        database_url=database.url(name),
        database=database,
        s3=s3,
    )


@contextlib.asynccontextmanager
async def cluster(folder: Path, more: Mapping[str, object]) -> AsyncIterator[Stand]:
    """Kafka, PostgreSQL and a bucket; workers share nothing else, each has a folder of its own."""
    if why := await asyncio.to_thread(why_no_kafka):
        raise RuntimeError(why)
    kafka = await asyncio.to_thread(KafkaServer, folder / "kafka")
    await asyncio.to_thread(kafka.start)
    try:
        async with contextlib.AsyncExitStack() as stack:
            database = stack.enter_context(postgres_server())
            s3 = stack.enter_context(s3_process())
            log = await stack.enter_async_context(following(kafka.bootstrap))
            name = await database.fresh()
            settings = {
                **over(database.url(name), s3),
                "kafka.bootstrap": kafka.bootstrap,
                **more,
            }
            yield Stand(
                folder=folder,
                settings_by_name=base(folder, settings),
                keys=KEYS,
                read_truth=log.truth,
                look=leases.postgres(database.url(name, "postgres")),
                database_url=database.url(name),
                own_folders=True,
                database=database,
                s3=s3,
                kafka=kafka,
                log=log,
            )
    finally:
        await asyncio.to_thread(kafka.stop)


@contextlib.asynccontextmanager
async def faulty(
    folder: Path, more: Mapping[str, object], *, rate: float, seed: int
) -> AsyncIterator[tuple[Stand, FaultyS3]]:
    """The local bus, PostgreSQL, and a bucket that fails; the checks see it as it really is."""
    with postgres_server() as database, s3_process() as s3:
        async with (
            faulty_s3(s3.address, rate=rate, seed=seed) as (double, address),
            _over_stores(folder, more, database, s3) as stand,
        ):
            stand.worker_settings["objects.endpoint_url"] = address
            yield stand, double


def over(database_url: str, s3: S3) -> dict[str, object]:
    """Return the settings that put rows into a database and objects into a new bucket."""
    return {
        "database_url": database_url,
        "objects_url": s3.bucket(),
        "objects.endpoint_url": s3.address,
    }


@contextlib.contextmanager
def s3_process() -> Iterator[S3]:
    """Run the S3 server in a process of its own, so that it holds nobody else up."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        s3 = S3(f"http://127.0.0.1:{port}")
        until_s = time.monotonic() + _START_S
        while not _is_open(port):
            if time.monotonic() > until_s:
                raise TimeoutError("moto's server does not start")
            time.sleep(0.05)
        yield s3
    finally:
        process.kill()
        process.wait()


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def opener(on: On) -> Callable[..., contextlib.AbstractAsyncContextManager[Stand]]:
    """Return what opens a stand of a kind."""
    return {"local": local, "stores": stores, "cluster": cluster}[on]
