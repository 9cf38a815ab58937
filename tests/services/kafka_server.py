"""A real Apache Kafka (KRaft, one node), on loopback unless told otherwise."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.paths import REPOSITORY
from tests.services.ports import free_ports

HOME = REPOSITORY / "tests" / "services" / "kafka"
LIBS = HOME / "libs"
COMPLETE = LIBS / ".complete"
"""Is there once every jar has been fetched."""
START_S = 240.0
FETCHES = 3

_SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.index.size.max.bytes=65536
log.segment.bytes=16777216
num.network.threads=2
num.io.threads=2
log.cleaner.enable=false
log.flush.interval.messages=1
"""


class KafkaServer:
    """One broker in a process of its own."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        """Make its folder; `host` is the address that clients come to."""
        self._folder = folder
        self._host = host
        self._port, self._controller = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / "server.properties"
        folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text(
            _SETTINGS.format(host=host, port=self._port, controller=self._controller, folder=folder)
        )
        self._run("kafka.tools.StorageTool", "format", "--standalone", "-t", _uuid(), "-c")

    @property
    def bootstrap(self) -> str:
        """Where clients find it."""
        return f"{self._host}:{self._port}"

    def start(self) -> None:
        """Start it and wait until it takes requests."""
        log = (self._folder / "server.log").open("ab")
        command = _java("kafka.Kafka", str(self._config), heap_mb=256)
        self._process = subprocess.Popen(
            command, cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
        )
        log.close()
        wait_for(lambda: self._answers(self._process), START_S, self._folder / "server.log")

    def freeze(self) -> None:
        """Stop it in the midst of whatever it does; its connections stay."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without any goodbye."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill()

    def _answers(self, process: subprocess.Popen[bytes] | None) -> bool:
        from confluent_kafka.admin import AdminClient

        assert process is not None
        assert process.poll() is None, (self._folder / "server.log").read_text()[-4000:]
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=1.0).brokers)
        except Exception:
            return False

    def _run(self, main: str, *arguments: str) -> None:
        subprocess.run(
            _java(main, *arguments, str(self._config), heap_mb=128),
            check=True,
            cwd=self._folder,
            capture_output=True,
        )

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def why_no_kafka() -> str:
    """Return why no real Kafka can run here; empty when it can. Fetches its jars at first."""
    if shutil.which("java") is None:
        return "Java is not on this machine"
    with (HOME / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if COMPLETE.exists():
            return ""
        if shutil.which("mvn") is None:
            return "Maven is not on this machine"
        for _ in range(FETCHES):
            fetched = subprocess.run(
                ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}"],
                cwd=HOME,
                capture_output=True,
                check=False,
            )
            if fetched.returncode == 0:
                COMPLETE.touch()
                return ""
        return "Maven cannot fetch Kafka's jars"


def wait_for(is_true: Callable[[], bool], limit_s: float, log: Path | None = None) -> None:
    """Wait until something is so."""
    until_s = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > until_s:
            raise TimeoutError(log.read_text()[-4000:] if log is not None else "it never was")
        time.sleep(0.05)


def _java(main: str, *arguments: str, heap_mb: int) -> list[str]:
    return [
        *("java", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        f"-Dlog4j2.configurationFile={HOME / 'log4j2.properties'}",
        *("-cp", f"{LIBS}/*", main, *arguments),
    ]


def _uuid() -> str:
    return "MkU3OEVBNTcwNTJENDM2Qg"
