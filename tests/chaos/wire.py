"""Two hosts on one machine and the wire between them: network namespaces.

Law: what runs on a host reaches that host and the other one and nothing else; a cut wire swallows
packets without a word, so that neither end hears of it. All is removed when the context ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "clipthat"
_MADE = Path("/run/netns")
_GONE_S = 30.0


class NoNamespaces(Exception):
    """This machine lets nobody make network namespaces; the message says why."""


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace with one address."""

    name: str
    address: str

    @property
    def enter(self) -> tuple[str, ...]:
        """What stands before a command that is to run here."""
        return ("ip", "netns", "exec", self.name)


@dataclass(frozen=True, slots=True)
class Wire:
    """Two hosts, and a router between them that either forwards or swallows."""

    one: Host
    two: Host
    router: str

    def cut(self) -> None:
        """Swallow whatever one host sends to the other: no reset, no ICMP, links stay up."""
        for host in (self.one, self.two):
            _ip("-n", self.router, "route", "add", "blackhole", f"{host.address}/32")

    def heal(self) -> None:
        """Forward again."""
        for host in (self.one, self.two):
            _ip("-n", self.router, "route", "del", "blackhole", f"{host.address}/32")


def wire_of(pid: int) -> Wire:
    """Return the hosts that a process has made; the addresses are known in there alone."""
    return Wire(
        one=Host(f"{_PREFIX}-{pid}-one", "10.213.1.1"),
        two=Host(f"{_PREFIX}-{pid}-two", "10.213.2.1"),
        router=f"{_PREFIX}-{pid}-router",
    )


@contextlib.contextmanager
def two_hosts() -> Iterator[Wire]:
    """Make two hosts for as long as the context is open; what runs on them then is killed.

    Raises:
        NoNamespaces: this machine does not let us.
    """
    reason = why_no_namespaces()
    if reason:
        raise NoNamespaces(reason)
    _sweep()
    wire = wire_of(os.getpid())
    try:
        for name in (wire.router, wire.one.name, wire.two.name):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        for host, end in ((wire.one, "to-one"), (wire.two, "to-two")):
            _lay(host, wire.router, end)
        forward = Path("/proc/sys/net/ipv4/ip_forward")
        _ip("netns", "exec", wire.router, "sh", "-c", f"echo 1 > {forward}")
        yield wire
    finally:
        for name in (wire.one.name, wire.two.name, wire.router):
            _remove(name)


def why_no_namespaces() -> str:
    """Return why no network namespace can be made here; empty when one can."""
    if shutil.which("ip") is None:
        return "iproute2 is not on this machine"
    name = f"{_PREFIX}-{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if tried.returncode != 0:
        return f"`ip netns add`: {tried.stderr.decode().strip()}"
    _remove(name)
    return ""


def _lay(host: Host, router: str, end: str) -> None:
    """Lay a link between a host and the router."""
    gateway = host.address.removesuffix(".1") + ".2"
    link = ("link", "add", "wire", "netns", host.name, "type", "veth")
    _ip(*link, "peer", "name", end, "netns", router)
    _ip("-n", host.name, "address", "add", f"{host.address}/30", "dev", "wire")
    _ip("-n", router, "address", "add", f"{gateway}/30", "dev", end)
    _ip("-n", host.name, "link", "set", "wire", "up")
    _ip("-n", router, "link", "set", end, "up")
    _ip("-n", host.name, "route", "add", "default", "via", gateway)


def _ip(*arguments: str) -> str:
    ran = subprocess.run(["ip", *arguments], capture_output=True, check=False, text=True)
    if ran.returncode != 0:
        raise NoNamespaces(f"`ip {' '.join(arguments)}`: {ran.stderr.strip()}")
    return ran.stdout


def _sweep() -> None:
    """Remove what a process has left that was killed."""
    for path in _MADE.glob(f"{_PREFIX}-*-*"):
        maker = path.name.split("-")[1]
        if not Path(f"/proc/{maker}").exists():
            _remove(path.name)


def _remove(name: str) -> None:
    """Kill what runs in a namespace of ours, and remove it."""
    if not (_MADE / name).exists():
        return
    until_s = time.monotonic() + _GONE_S
    while (pids := _ip("netns", "pids", name).split()) and time.monotonic() < until_s:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.05)
    _ip("netns", "del", name)
