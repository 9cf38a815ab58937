"""Starts a program under limits: `python limited.py MEMORY CPU_S FILE NICE PROGRAM ARGUMENTS…`.

Law: it runs in the child, between fork and exec, so that the parent needs no unsafe hook; it
imports nothing of the project and replaces itself by the program.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def main(arguments: list[str]) -> None:
    """Set the limits (bytes, seconds, bytes, niceness) and become the program."""
    memory_bytes, cpu_s, file_bytes, nice = (int(part) for part in arguments[:4])
    program = arguments[4:]
    if sys.platform == "linux":
        # A killed service must not leave encoders behind that nobody waits for.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_s)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    os.nice(nice)
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
