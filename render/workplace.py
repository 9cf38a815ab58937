"""Folders for unfinished files: one for each render, gone when it ends, cleared after a crash."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from store.errors import StorageFull

_NAME = re.compile(r"clipthat-render-(\d+)-")


@contextmanager
def workplace(work_dir: str) -> Iterator[Path]:
    """Open an empty folder that is removed at the end, whatever happens.

    Raises:
        StorageFull: no space is left in it.
    """
    prefix = f"clipthat-render-{os.getpid()}-"
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=work_dir or None))
    except OSError as error:
        raise StorageFull(f"no folder for unfinished files: {error}") from error
    try:
        yield folder
    except OSError as error:
        if error.errno == 28:
            raise StorageFull(f"no space in {folder.parent}") from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_stale(work_dir: str) -> None:
    """Remove the folders of processes that are gone."""
    for folder in Path(work_dir or tempfile.gettempdir()).glob("clipthat-render-*"):
        match = _NAME.match(folder.name)
        if match is None:
            continue
        with suppress(OSError):
            try:
                os.kill(int(match[1]), 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
