"""The connections of a Kafka client: each dies by itself when nothing on it is acknowledged.

Law: whatever connection a client keeps has its options before the client gets it to use.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

_AT_ONCE = struct.pack("ii", 1, 0)
_PROBES = 2


class Connections(dict[Any, Any]):
    """Stands in for aiokafka's table of connections, since the library sets no socket's options.

    Whatever the library opens, at first or again, goes through here before it is used. What it
    opens only to ask who the brokers are, and closes again, does not.
    """

    def __init__(self, unacked_s: float, *, dropped_at_once: bool = False) -> None:
        """See to all connections of one client.

        Args:
            unacked_s: a connection dies when the other end's system has acknowledged nothing for
                so long, be it data or, while nothing is sent, probes. Where the system knows
                probes only, what was sent is given up when the system gives it up.
            dropped_at_once: a connection that is closed takes what it has not sent along.
                Otherwise the system goes on sending it for minutes: to a broker that was cut off
                and is back, whoever may write by then.
        """
        super().__init__()
        self._options = list(_life(unacked_s))
        if dropped_at_once:
            self._options.append((socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE))

    def __setitem__(self, node: Any, connection: Any) -> None:
        """Set the options of a connection, and keep it.

        Raises:
            OSError: it is broken, and closed now; the library tries another one.
        """
        writer = connection._writer
        try:
            for level, option, value in self._options if writer is not None else ():
                writer.get_extra_info("socket").setsockopt(level, option, value)
        except OSError:
            connection.close()
            raise
        super().__setitem__(node, connection)


def _life(unacked_s: float) -> Iterator[tuple[int, int, int | bytes]]:
    """Return level, number and value of each option that this system knows."""
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    probe_s = max(1, round(unacked_s / (_PROBES + 1)))
    for name, value in (
        ("TCP_USER_TIMEOUT", round(unacked_s * 1000)),
        ("TCP_KEEPIDLE", probe_s),
        ("TCP_KEEPALIVE", probe_s),
        ("TCP_KEEPINTVL", probe_s),
        ("TCP_KEEPCNT", _PROBES),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            yield socket.IPPROTO_TCP, option, value
