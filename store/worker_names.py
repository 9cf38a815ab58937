"""What workers are called: the machine that a person knows, the kind of work, the process.

Law: pure; a name says all three, and no two workers have the same one.
"""

from __future__ import annotations

import re

from store.leases import Kind

_MACHINE_CHARS_MAX = 60


def make_worker_name(machine: str, kind: Kind, process: str) -> str:
    """Return a worker's name; what no name may hold becomes `-`.

    Args:
        machine: what a person calls the machine.
        kind: what it asks for.
        process: what no other process there has.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", machine).strip("-.")
    return f"{plain[:_MACHINE_CHARS_MAX] or 'worker'}:{kind}:{process}"


def machine_of(name: str) -> str:
    """Return the machine that a worker's name tells; all of a name that is none of ours."""
    return name.partition(":")[0]


def process_of(name: str) -> str:
    """Return the process that a worker's name tells; empty for a name that is none of ours."""
    return name.rpartition(":")[2] if name.count(":") == 2 else ""
