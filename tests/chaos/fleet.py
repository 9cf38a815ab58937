"""Role processes: started, killed, frozen, told to leave, and started again.

Law: each is a process of its own that runs the command line; what kills it is the kernel's SIGKILL
and nothing that it could prepare for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.media import environment
from tests.paths import REPOSITORY

_LINE_BYTES_MAX = 1_000_000
_START_S = 120.0


@dataclass
class Worker:
    """A place in the fleet and the process that stands in it now."""

    name: str
    """Such as `ingest-1`."""
    role: str
    arguments: tuple[str, ...]
    pid: int = 0
    """Zero while there is none."""
    is_frozen: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    log: Path = Path()
    log_from: int = 0
    """Where in the log the process began to write that stands there now."""
    starts: int = 0
    """How often a process has been started in it."""
    code: int | None = None
    """How the last process ended: its exit code, or the signal's number below zero."""


@dataclass(frozen=True, slots=True)
class Death:
    """A SIGKILL that was sent."""

    at_s: float
    """Unix time."""
    name: str
    role: str
    pid: int


class Fleet:
    """All workers of a run."""

    def __init__(
        self, process: asyncio.subprocess.Process, folder: Path, told: Mapping[str, str]
    ) -> None:
        self._process = process
        self._folder = folder
        self._environment = dict(told)
        self._began: asyncio.Queue[int] = asyncio.Queue()
        self._starting = asyncio.Lock()
        self._by_pid: dict[int, Worker] = {}
        self._reader = asyncio.create_task(self._read())
        self.workers: dict[str, Worker] = {}
        self.deaths: list[Death] = []
        self.unasked: list[tuple[str, int]] = []
        """Workers that ended though nobody had asked them to, and how."""

    def add(self, name: str, role: str, *arguments: str) -> Worker:
        """Make a place for a worker; nothing is started yet."""
        worker = Worker(name, role, ("run", "--roles", role, *arguments))
        worker.log = self._folder / f"{name}.log"
        self.workers[name] = worker
        return worker

    async def start(self, worker: Worker) -> None:
        """Start a process in a worker's place; returns when it exists."""
        order = {
            "arguments": worker.arguments,
            "environment": self._environment,
            "folder": str(self._folder),
            "log": str(worker.log),
            "acked": str(self._folder / f"{worker.name}.acked"),
        }
        assert self._process.stdin is not None
        log_from = worker.log.stat().st_size if worker.log.exists() else 0
        async with self._starting:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            await self._process.stdin.drain()
            async with asyncio.timeout(_START_S):
                pid = await self._began.get()
            worker.pid, worker.code, worker.log_from = pid, None, log_from
            worker.starts += 1
            worker.ended.clear()
            self._by_pid[pid] = worker

    def is_up(self, worker: Worker) -> bool:
        """Whether a worker's process has said that it is at work."""
        with worker.log.open("rb") as log:
            log.seek(worker.log_from)
            return b"roles " in log.read()

    async def kill(self, worker: Worker) -> Death:
        """Kill a worker's process; returns when it is gone."""
        death = Death(time.time(), worker.name, worker.role, worker.pid)
        self.deaths.append(death)
        await self._end(worker, signal.SIGKILL)
        return death

    async def stop(self, worker: Worker, limit_s: float) -> float:
        """Ask a worker to leave; return the seconds that it took.

        Raises:
            TimeoutError: it did not leave in time.
        """
        began_s = time.monotonic()
        async with asyncio.timeout(limit_s):
            await self._end(worker, signal.SIGTERM)
        return time.monotonic() - began_s

    async def _end(self, worker: Worker, how: signal.Signals) -> None:
        if not worker.pid:
            return
        self._by_pid.pop(worker.pid, None)
        ended = worker.ended
        self._by_pid[-worker.pid] = worker
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, how)
        await ended.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            if "began" in told:
                self._began.put_nowait(told["began"])
                continue
            pid, code = told["ended"], told["code"]
            worker = self._by_pid.pop(-pid, None)
            if worker is None:
                worker = self._by_pid.pop(pid, None)
                if worker is not None:
                    self.unasked.append((worker.name, code))
            if worker is not None and worker.pid == pid:
                worker.pid, worker.code = 0, code
                worker.ended.set()

    async def close(self) -> None:
        """Kill what is left."""
        for worker in self.workers.values():
            await self._end(worker, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        self._reader.cancel()


@contextlib.asynccontextmanager
async def fleet(
    folder: Path, told: Mapping[str, str], *, enter: Sequence[str] = ()
) -> AsyncIterator[Fleet]:
    """Open an empty fleet.

    Args:
        folder: where workers run and log.
        told: their settings, as environment variables.
        enter: what stands before a command that is to run where they run.
    """
    process = await asyncio.create_subprocess_exec(
        *(*enter, sys.executable, "-m", "tests.chaos.zygote"),
        cwd=REPOSITORY,
        env={**environment(), "OPENBLAS_NUM_THREADS": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES_MAX,
        start_new_session=True,
    )
    made = Fleet(process, folder, told)
    try:
        yield made
    finally:
        await made.close()


def as_environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Return settings by dotted name as environment variables."""
    return {
        "CLIPTHAT_" + name.upper().replace(".", "__"): _text(value)
        for name, value in settings.items()
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(str(each) for each in value)
    return str(value)
