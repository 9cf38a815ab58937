"""librdkafka's mock cluster: one broker that speaks Kafka's protocol and keeps its log in memory.

Law: it stands in for Kafka where none can run, and proves less. It makes no topic on request but
each when it is first named, with four partitions; of a partition it keeps the last 5 MB; it knows
neither replicas nor retention; and a group with a second member does not get far (see ALONE).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from tests.paths import REPOSITORY

ALONE = (
    "the mock cluster refuses a group's second member when it asks for its share after the first"
    " one has shared out (SyncGroup: INVALID_REQUEST)"
)
SESSION_S = 6.0
"""Of groups here: the mock cluster lets one whose members change wait for nearly as long."""
_BROKER = 1


class MockKafka:
    """One broker in a process of its own; what it holds ends with that process."""

    def __init__(self) -> None:
        """Start the process, and wait until the broker takes requests."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.kafka_mock"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.bootstrap = self._answer()
        """Where clients find it."""

    def start(self) -> None:
        """Have it take connections again."""
        self._have("up")

    def kill(self) -> None:
        """Have it drop its connections and take none, as a broker does that has been killed.

        It keeps its log, as a disk would.
        """
        self._have("down")

    def freeze(self) -> None:
        """Stop it in the midst of whatever it does; its connections stay."""
        os.kill(self._process.pid, signal.SIGSTOP)
        # It answers faster than it can be stopped.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def refuse(self, request: int, errors: Sequence[int]) -> None:
        """Have it answer the next requests of a kind (its API key) with these errors, in turn."""
        self._have("refuse", request, *errors)

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self._process.kill()
        self._process.communicate()

    def _have(self, *order: str | int) -> None:
        assert self._process.stdin is not None
        print(*order, file=self._process.stdin, flush=True)
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        told = self._process.stdout.readline().strip()
        assert told, "the mock cluster has ended"
        return told


class _Cluster:
    """The mock cluster in this process, by librdkafka's C interface (`rdkafka_mock.h`)."""

    def __init__(self) -> None:
        from confluent_kafka import cimpl

        # The extension's own library comes along: symbols are looked for in both.
        self._c = ctypes.CDLL(cimpl.__file__)
        new, cluster = self._c.rd_kafka_new, self._c.rd_kafka_mock_cluster_new
        new.restype = cluster.restype = ctypes.c_void_p
        reason = ctypes.create_string_buffer(512)
        client = new(0, None, reason, ctypes.c_size_t(len(reason)))
        assert client, reason.value
        self._cluster = ctypes.c_void_p(cluster(ctypes.c_void_p(client), 1))
        # A group's first member would be kept waiting for others.
        self._c.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)

    @property
    def bootstrap(self) -> str:
        addresses = self._c.rd_kafka_mock_cluster_bootstraps
        addresses.restype = ctypes.c_char_p
        found: bytes = addresses(self._cluster)
        return found.decode()

    def down(self) -> None:
        assert not self._c.rd_kafka_mock_broker_set_down(self._cluster, _BROKER)

    def up(self) -> None:
        assert not self._c.rd_kafka_mock_broker_set_up(self._cluster, _BROKER)

    def refuse(self, request: str, *errors: str) -> None:
        codes = (ctypes.c_int * len(errors))(*map(int, errors))
        self._c.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(int(request)), ctypes.c_size_t(len(codes)), codes
        )


def main() -> None:
    """Run a mock cluster and do what is ordered, until whoever orders is gone."""
    cluster = _Cluster()
    orders: Mapping[str, Callable[..., None]] = {
        "down": cluster.down,
        "up": cluster.up,
        "refuse": cluster.refuse,
    }
    print(cluster.bootstrap, flush=True)
    for line in sys.stdin:
        order, *arguments = line.split()
        orders[order](*arguments)
        print("done", flush=True)


if __name__ == "__main__":
    main()
