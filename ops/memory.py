"""Keeps the C library from hoarding memory.

Decoders and muxers run in a handful of threads. The GNU C library gives each thread an arena of
its own and rarely returns what was freed there, which doubles the memory of a long run.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_ARENA_MAX = -8

ARENAS = 2
TRIM_BYTES = 1_000_000


def bound_memory() -> bool:
    """Share few arenas among all threads; True where the C library can be told so.

    To be called before any thread starts.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_ARENA_MAX, ARENAS) and mallopt(_M_TRIM_THRESHOLD, TRIM_BYTES))
