"""What can be set about the control plane, and how workers reach it."""

from __future__ import annotations

from dataclasses import dataclass, field

SECRET_CHARS_MIN = 32
"""A shorter secret could be guessed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlSettings:
    """Where workers on other machines find the control plane, and how they are let in."""

    url: str = ""
    """Address of the control plane, such as `http://control:8420`; workers need it. Use `https://`
    where the network between is not your own."""
    secret: str = field(default="", repr=False)
    """What lets a worker in: 32 characters or more, the same on the control plane and on every
    worker. The control plane takes no worker from elsewhere while it is empty."""
    timeout_s: float = 5.0
    """How long an answer of the control plane may take; less than a third of `leases.ingest_s`, so
    that a worker can try again before its lease is over."""
    connect_timeout_s: float = 2.0
    """How long a connection to it may take to open."""
    token_s: float = 600.0
    """How long the token is good that a worker is given for its secret."""
