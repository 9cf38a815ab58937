"""Role processes on one machine, each of its own, with nothing shared but a data folder."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bus.events import Event
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from store.obstore_objects import ObstoreObjects, open_objects
from tests.e2e.media import COMMAND, QUICK, environment

SECRET = "a secret of tests, long enough to be taken"
LIMIT_S = 600.0
LOOK_S = 0.1
LEASES = (
    *("--set", "leases.ingest_s=8", "--set", "leases.ingest_beat_s=2"),
    *("--set", "leases.render_s=8", "--set", "leases.render_beat_s=2"),
)
"""Leases of a test end sooner, so that a dead worker's work need not be waited for so long."""
_ADDRESS = re.compile(r"^roles \S+; [a-z ]+: (http://\S+)$", re.MULTILINE)


@dataclass
class RoleProcess:
    """One process of the cluster."""

    process: asyncio.subprocess.Process
    log: Path
    address: str = ""

    @property
    def said(self) -> str:
        """What it wrote on standard error."""
        return self.log.read_text()

    def kill(self) -> None:
        """Kill it and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def ask(self, path: str) -> httpx.Response:
        """Ask its server."""
        async with httpx.AsyncClient(base_url=self.address, timeout=30, trust_env=False) as client:
            return await client.get(path)

    async def number(self, name: str) -> float:
        """Return one of its metrics, by name and labels as they are shown; zero when unset."""
        for line in (await self.ask("/metrics")).text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0


@dataclass
class Cluster:
    """Starts role processes in a folder; kills what is left of them at the end."""

    folder: Path
    control_url: str = ""
    processes: list[RoleProcess] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def state(self) -> Path:
        """Where bus, database and objects lie."""
        return self.folder / "data" / ".clipthat"

    @property
    def objects(self) -> ObstoreObjects:
        """The objects of all processes."""
        return open_objects((self.state / "objects").as_uri())

    async def launch(self, *arguments: str) -> RoleProcess:
        """Start the command line with the cluster's settings."""
        log = self.folder / f"{next(self._numbers)}.log"
        told = {"CLIPTHAT_CONTROL__SECRET": SECRET, "CLIPTHAT_CONTROL__URL": self.control_url}
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *(*COMMAND, *arguments[:1], *QUICK, *LEASES),
                *("--set", "fetch.allow_private=true", "--set", f"data_dir={self.folder / 'data'}"),
                *arguments[1:],
                cwd=self.folder,
                env={**environment(), **{name: value for name, value in told.items() if value}},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        one = RoleProcess(process, log)
        self.processes.append(one)
        return one

    async def start(self, roles: str, *more: str) -> RoleProcess:
        """Start a process and wait until its server listens."""
        one = await self.launch("run", "--roles", roles, "--set", "web.port=0", *more)

        async def listens() -> bool:
            assert one.process.returncode is None, one.said
            found = _ADDRESS.search(one.said)
            one.address = found[1] if found else ""
            return found is not None

        await until(listens)
        if "control" in roles.split(","):
            self.control_url = one.address
        return one

    async def stop(self) -> list[int]:
        """Tell all that still run to leave; return how they ended."""
        left = [one for one in self.processes if one.process.returncode is None]
        for one in left:
            one.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT_S):
            return [await one.process.wait() for one in left]

    @contextlib.asynccontextmanager
    async def bus(self) -> AsyncIterator[LocalBus]:
        """Open the processes' own bus."""
        async with LocalBus.open(self.state / "bus.db", LocalBusSettings()) as bus:
            yield bus


@contextlib.asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Have a cluster without a process yet; what is left of it at the end is killed."""
    one = Cluster(folder)
    try:
        yield one
    finally:
        for each in one.processes:
            each.kill()
        for each in one.processes:
            await each.process.wait()


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    """Look until it is so; other processes make it so, and nothing else tells of it."""
    async with asyncio.timeout(LIMIT_S):
        so = await what()
        while not so:
            await asyncio.sleep(LOOK_S)
            so = await what()


async def read_until(
    bus: LocalBus, topics: tuple[str, ...], enough: Callable[[Sequence[Event]], bool]
) -> list[Event]:
    """Return all events of some topics once they are enough."""
    seen: list[Event] = []
    async with asyncio.timeout(LIMIT_S), bus.subscribe(f"look-{uuid.uuid4().hex}", topics) as log:
        while not enough(seen):
            seen += [record.event for record in await log.fetch(500, 0.2)]
        return seen
