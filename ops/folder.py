"""A session's folder: one process does everything in it, or several do each their part."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.errors import OpsError

STATE_NAME = ".clipthat"
"""Below the folder: bus, database and objects, all that a resumed run needs."""


@contextmanager
def held(folder: Path, *, shared: bool = False) -> Iterator[Path]:
    """Hold a folder for this process and yield where its state lies.

    Args:
        folder: it is made when it is not there.
        shared: others may hold it too, as long as each of them shares it.

    Raises:
        OpsError: another process holds it, or it cannot be written.
    """
    state = folder / STATE_NAME
    try:
        state.mkdir(parents=True, exist_ok=True)
        handle = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OpsError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        other = "that does everything in one process " if shared else ""
        raise OpsError(
            f"another clipthat {other}is at work in {folder}; wait for it, or choose another"
            f" {'data_dir' if shared else '--out'}"
        ) from error
    try:
        yield state
    finally:
        os.close(handle)


def default_out(source: str) -> Path:
    """Return the folder that a source's clips go into when none is named."""
    name = re.split(r"[?#]", source)[0].rstrip("/").rsplit("/", 1)[-1]
    stem = Path(name).stem or "stream"
    return Path("clips") / re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")
