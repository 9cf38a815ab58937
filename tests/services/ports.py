"""Ports that nobody has, and that no connection is given by chance."""

from __future__ import annotations

import contextlib
import random
import socket

_BELOW_EPHEMERAL = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return so many different loopback ports that were free a moment ago.

    They lie below those that the system gives to outgoing connections, so that a server that was
    killed finds its own free again.
    """
    found: list[int] = []
    # Seeded by the system: test workers that share a seed must not choose the same ports.
    for port in random.SystemRandom().sample(_BELOW_EPHEMERAL, len(_BELOW_EPHEMERAL)):
        if len(found) == count:
            break
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found
