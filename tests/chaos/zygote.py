"""A process that has imported everything and forks into workers: a start costs no import.

Law: it makes no thread and opens nothing itself, so what it forks is as a fresh process. A line of
JSON in orders a worker, a line of JSON out tells its process id or its end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import ops.commands.run
import ops.commands.run_roles  # noqa: F401
from ops.cli import main as clipthat
from tests.chaos.witness import witness

_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Order:
    """A command line to run, and where what it says goes."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    log: Path
    acked: Path
    """Whatever the worker was told to be durable is noted in this file."""


def serve() -> Order | None:
    """Fork a worker for each order until standard input ends; what still runs then is killed.

    Returns:
        In a worker its order; in this process None, at the end.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    rest = b""
    living: set[int] = set()
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, _BYTES)
            living -= _reap()
        if 0 not in ready:
            continue
        read = os.read(0, _BYTES)
        if not read:
            for pid in living:
                os.kill(pid, signal.SIGKILL)
            return None
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            order = _read(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(woken)
                os.close(wake)
                return order
            living.add(pid)
            _tell({"began": pid})


def _read(line: bytes) -> Order:
    told = json.loads(line)
    return Order(
        arguments=tuple(told["arguments"]),
        environment=told["environment"],
        folder=Path(told["folder"]),
        log=Path(told["log"]),
        acked=Path(told["acked"]),
    )


def _reap() -> set[int]:
    """Tell which workers have ended, and return them."""
    gone: set[int] = set()
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return gone
        if pid == 0:
            return gone
        gone.add(pid)
        _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def work(order: Order) -> None:
    """Become the worker."""
    os.setsid()
    empty = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream, at in ((empty, 0), (log, 1), (log, 2)):
        os.dup2(stream, at)
    os.chdir(order.folder)
    os.environ.update(order.environment)
    witness(order.acked)
    sys.argv = ["clipthat", *order.arguments]
    clipthat()


if __name__ == "__main__":
    _order = serve()
    if _order is not None:
        work(_order)
