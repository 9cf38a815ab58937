"""The command line beside a test that goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.media import COMMAND, QUICK, environment

LOOPBACK = ("--set", "fetch.allow_private=true")
LIMIT_S = 120.0
LINE_BYTES_MAX = 1_000_000


@dataclass
class Running:
    """A command that writes lines of JSON, and what it has written."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    complaints: bytes = b""

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> bool:
        """Read until a line is wanted; False when the command ends before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            while line := await self.process.stdout.readline():
                self.lines.append(json.loads(line))
                if wanted(self.lines[-1]):
                    return True
        return False

    async def until_type(self, name: str) -> bool:
        """Read until a line whose type has this in its name."""
        return await self.until(lambda line: name in line["type"])

    def send(self, number: signal.Signals) -> None:
        """Signal the command itself."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the command and all that it has started, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)

    async def ended(self, limit_s: float = LIMIT_S) -> int:
        """Read the rest and return the exit code."""
        async with asyncio.timeout(limit_s):
            await self.until(lambda _: False)
            assert self.process.stderr is not None
            self.complaints += await self.process.stderr.read()
            return await self.process.wait()

    def told(self, name: str) -> list[dict[str, Any]]:
        """Return the events whose type has this in its name."""
        return [line["event"] for line in self.lines if name in line["type"]]

    @property
    def said(self) -> str:
        """What it wrote on standard error."""
        return self.complaints.decode()


@contextlib.asynccontextmanager
async def running(folder: Path, *arguments: str, json_lines: bool = True) -> AsyncIterator[Running]:
    """Start the command line; what is left of it at the end is killed."""
    more = ("--json",) if json_lines else ()
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, arguments[0], *QUICK, *LOOPBACK, *more, *arguments[1:]),
        cwd=folder,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=LINE_BYTES_MAX,
    )
    try:
        yield Running(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def run(folder: Path, *arguments: str) -> Running:
    """Run the command line to its end."""
    async with running(folder, *arguments) as command:
        await command.ended()
    return command
