"""Connections to brokers die by themselves when nothing is heard of the other end any more."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import psutil
import pytest

from bus.kafka import KafkaBus
from bus.kafka_client import KafkaClient
from bus.kafka_settings import KafkaSettings
from bus.kafka_sockets import Connections
from tests.bus.conftest import kafka_settings
from tests.bus.test_contract import behind, read
from tests.bus.world import windows
from tests.chaos.wire import Host, NoNamespaces, Wire, two_hosts
from tests.paths import REPOSITORY
from tests.services.kafka_mock import MockKafka

LIMIT_S = 120.0
"""Far below the quarter of an hour that the system tries without our options."""

_NUMBERS = {name: getattr(socket, name) for name in dir(socket) if name.startswith("TCP_")}
"""Of all options, whatever a test makes this system forget."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have other options for a socket"
)


class Options(NamedTuple):
    """What a socket is told about the other end's silence, and about its own end."""

    user_timeout_ms: int = 4500
    probed: int = 1
    probe_idle_s: int = 2
    probe_interval_s: int = 2
    probes: int = 2
    dropped_at_once: bool = False


OURS = Options()
PRODUCER = Options(dropped_at_once=True)


def settings_for(broker: MockKafka) -> KafkaSettings:
    """Return settings that no system has by itself."""
    return kafka_settings(broker, unacked_s=4.5, session_s=30.0)


def sockets_to(broker: MockKafka) -> list[Options]:
    """Look at every socket of this process that is connected to the broker."""
    found = []
    for each in psutil.Process().net_connections("tcp4"):
        if each.raddr and f"{each.raddr.ip}:{each.raddr.port}" == broker.bootstrap:
            with socket.socket(fileno=os.dup(each.fd)) as mine:
                found.append(options_of(mine))
    return found


def options_of(mine: socket.socket) -> Options:
    def tcp(name: str) -> int:
        return mine.getsockopt(socket.IPPROTO_TCP, _NUMBERS[name])

    lingers = mine.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    return Options(
        user_timeout_ms=tcp("TCP_USER_TIMEOUT"),
        probed=mine.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        probe_idle_s=tcp("TCP_KEEPIDLE"),
        probe_interval_s=tcp("TCP_KEEPINTVL"),
        probes=tcp("TCP_KEEPCNT"),
        dropped_at_once=struct.unpack("ii", lingers) == (1, 0),
    )


async def test_every_connection_has_its_options(mock_kafka: MockKafka, tmp_path: Path) -> None:
    async with (
        KafkaBus.open(tmp_path, settings_for(mock_kafka)) as bus,
        bus.subscribe("g", ["chat"]) as subscription,
    ):
        await bus.publish(windows(3))
        await subscription.commit(behind(await read(subscription, 3)))
        await bus.lag("g")
        # The producer; the member, twice; and who asks how far the partitions go.
        assert sorted(sockets_to(mock_kafka)) == [OURS, OURS, OURS, PRODUCER]


async def test_the_connection_of_questions_has_them_too(mock_kafka: MockKafka) -> None:
    async with KafkaClient(settings_for(mock_kafka)).admin() as admin:
        await admin.describe_topics([])
        assert sockets_to(mock_kafka) == [OURS]


async def test_a_connection_that_is_opened_again_has_them_too(mock_kafka: MockKafka) -> None:
    client = KafkaClient(settings_for(mock_kafka))
    await client.ensure(["chat"])
    producer = client.producer()
    await producer.start()
    try:
        await producer.send_and_wait(client.name("chat"), b"first", partition=0)
        assert sockets_to(mock_kafka) == [PRODUCER]
        mock_kafka.kill()
        mock_kafka.start()
        await producer.send_and_wait(client.name("chat"), b"second", partition=0)
        assert sockets_to(mock_kafka) == [PRODUCER]
    finally:
        await client.drop_producer(producer, clean=False)


async def test_where_the_system_has_no_such_limit_there_are_probes(
    mock_kafka: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    async with KafkaClient(settings_for(mock_kafka)).admin() as admin:
        await admin.describe_topics([])
        assert sockets_to(mock_kafka) == [OURS._replace(user_timeout_ms=0)]


def test_a_connection_that_is_broken_already_is_closed_and_not_kept() -> None:
    closed: list[bool] = []
    broken = socket.socket()
    broken.close()
    writer = SimpleNamespace(get_extra_info={"socket": broken}.get)
    connection = SimpleNamespace(_writer=writer, close=lambda: closed.append(True))
    kept = Connections(4.5)
    with pytest.raises(OSError, match="Bad file descriptor"):
        kept["broker"] = connection
    assert closed == [True]
    assert not kept


_LISTENS = """
import socket, sys
server = socket.create_server((sys.argv[1], 9092))
print("ready", flush=True)
kept = server.accept()
sys.stdin.read()
"""

_SPEAKS = """
import asyncio, sys
from types import SimpleNamespace
from bus.kafka_sockets import Connections

async def main(address, word):
    reader, writer = await asyncio.open_connection(address, 9092)
    Connections(1.0)["broker"] = SimpleNamespace(_writer=writer)
    print("ready", flush=True)
    sys.stdin.readline()
    writer.write(word.encode())
    try:
        await reader.read()
    except TimeoutError:
        print("given up", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Two hosts and a wire; the test is skipped where nobody may make network namespaces."""
    try:
        with two_hosts() as made:
            yield made
    except NoNamespaces as error:
        pytest.skip(str(error))


@contextlib.contextmanager
def on(host: Host, script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script on a host, from when it is ready for as long as the context is open."""
    process = subprocess.Popen(
        [*host.enter, sys.executable, "-c", script, *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("word", ["hello", ""], ids=["sent", "idle"])
def test_a_connection_over_a_cut_wire_is_given_up(wire: Wire, word: str) -> None:
    with (
        on(wire.two, _LISTENS, wire.two.address),
        on(wire.one, _SPEAKS, wire.two.address, word) as speaker,
    ):
        wire.cut()
        told, _ = speaker.communicate("cut\n", timeout=LIMIT_S)
        assert told == "given up\n"
