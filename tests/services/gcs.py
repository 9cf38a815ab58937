"""A Google Cloud Storage on loopback: the real fake-gcs-server behind Google's XML API."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from store.settings import ObjectsSettings
from tests.doubles.google_keys import ServiceAccount
from tests.doubles.google_xml import GoogleXml
from tests.services.gcs_build import SERVER
from tests.services.kafka_server import wait_for
from tests.services.ports import free_ports

START_S = 60.0


@dataclass
class Gcs:
    """A server and the buckets on it."""

    address: str
    """Where Google's XML API is."""
    server: str
    """Where fake-gcs-server itself is, with the JSON API."""
    environment: Mapping[str, str]
    """What a process that uses the server has in its environment."""
    double: GoogleXml
    _names: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def bucket(self) -> str:
        """Make an empty bucket; returns its address, with a folder."""
        name = f"bucket-{next(self._names)}"
        asked = urllib.request.Request(
            f"{self.server}/storage/v1/b?project=tests",
            data=json.dumps({"name": name}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60):
            return f"gs://{name}/folder"

    def settings(self, **told: object) -> ObjectsSettings:
        """Return how to reach it."""
        return ObjectsSettings(endpoint_url=self.address, **told)  # type: ignore[arg-type]


@contextmanager
def gcs_server(folder: Path) -> Iterator[Gcs]:
    """Run the server in a process of its own and the API before it in a thread of this one."""
    [port] = free_ports(1)
    host = f"127.0.0.1:{port}"
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [
            *(SERVER, "-backend", "memory", "-log-level", "warn", "-scheme", "http"),
            *("-host", "127.0.0.1", "-port", str(port), "-public-host", host),
        ],
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    log.close()
    try:
        server = f"http://{host}"
        wait_for(lambda: _answers(server, process), START_S, folder / "server.log")
        account = ServiceAccount()
        double = GoogleXml(server, account)
        with _in_a_thread(double) as address:
            yield Gcs(address, server, account.environment(folder), double)
    finally:
        process.kill()
        process.wait()


def _answers(server: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "fake-gcs-server has ended"
    try:
        with urllib.request.urlopen(f"{server}/storage/v1/b?project=tests", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def _in_a_thread(double: GoogleXml) -> Iterator[str]:
    """Answer in a loop of its own, so that no test holds it up; yields its address."""
    found: list[str] = []
    begun = threading.Event()
    over = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def answer() -> None:
        runner = web.AppRunner(double.app(), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            found.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
            begun.set()
            await over.wait()
        finally:
            begun.set()
            await runner.cleanup()

    def run() -> None:
        try:
            loop.run_until_complete(answer())
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="google-xml", daemon=True)
    thread.start()
    begun.wait()
    try:
        [address] = found
        yield address
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
