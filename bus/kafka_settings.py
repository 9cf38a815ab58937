"""What can be set about Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaSettings:
    """How events travel over Kafka, when they do."""

    bootstrap: str = ""
    """Addresses of some brokers, `host:port,host:port`. Empty: the local bus is used, and nothing
    below matters."""
    prefix: str = "clipthat."
    """Stands before the names of our topics and groups; processes that share it share the work."""
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to speak to the brokers."""
    ca_file: str = ""
    """PEM file of who signs the brokers' certificates; the system's own list when empty."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How to prove who we are, with `SASL_…`."""
    sasl_username: str = ""
    """Name to log in with."""
    sasl_password: str = field(default="", repr=False)
    """Password to log in with."""
    replication: int = -1
    """Copies of each partition when a topic is made; -1 leaves it to the brokers."""
    retention_s: float = 7 * 24 * 3600.0
    """Events older than this are removed, by the brokers' clock; set when a topic is made."""
    request_s: float = 8.0
    """How long a broker may take to answer."""
    ack_s: float = 8.0
    """Events that are not acknowledged within this time are put into the outbox on our own disk,
    and sent again from there until they are."""
    connect_s: float = 5.0
    """How long connecting may take."""
    unacked_s: float = 6.0
    """A connection on which the broker's machine has acknowledged nothing for this long is given
    up and opened anew: a wire that is back is used at once, not when TCP tries again, which it
    does after ever longer pauses. Below `ack_s` and `request_s`. Full effect on Linux only."""
    retry_s: float = 1.0
    """Pause between two tries to empty the outbox."""
    outbox_max_bytes: int = 2 * 1024**3
    """The outbox never grows beyond this; publishing then fails with a clear error."""
    session_s: float = 30.0
    """A member of a group that has not been heard of for this long loses its partitions; a process
    that is started again in its folder before gets them back."""
    heartbeat_s: float = 5.0
    """How often members are heard of; well below `session_s`."""
    rebalance_s: float = 60.0
    """How long a group waits for its members when partitions move."""
    hold_s: float = 45.0
    """How long a member may hold up such a move to finish and commit what it has in hand; below
    `rebalance_s`."""
    join_s: float = 10.0
    """How long a reader waits for its share of the partitions before it says that nothing came."""
    leave_s: float = 1.5
    """How long shutting a connection may take; then it is dropped."""
    stall_s: float = 60.0
    """A reader that gets nothing for this long though there is something is started again."""
    remember_ids: int = 100_000
    """Event ids that are remembered to leave out repetitions: of what this process has published,
    and of what a reader has read, in each partition."""
