"""Says at once that a process is gone, where its lease alone would say so much later.

Law: the system lets go of a dead process's lock, however it died; a lock that can be taken belongs
to nobody.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterable
from pathlib import Path


class Presence:
    """A file that is locked for as long as its process lives."""

    def __init__(self, bus_path: Path) -> None:
        self._folder = bus_path.with_name(f"{bus_path.name}.present")
        self._folder.mkdir(exist_ok=True)
        self.name = uuid.uuid4().hex
        """Never used again."""
        self._file = self._path(self.name).open("wb")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def gone(self, names: Iterable[str]) -> list[str]:
        """Return those of these names whose process no longer lives."""
        return [name for name in names if name != self.name and self._is_gone(name)]

    def leave(self) -> None:
        """Give up the lock and its file."""
        self._path(self.name).unlink(missing_ok=True)
        self._file.close()

    def _is_gone(self, name: str) -> bool:
        try:
            with self._path(name).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        self._path(name).unlink(missing_ok=True)
        return True

    def _path(self, name: str) -> Path:
        return self._folder / name
