"""Pieces of text as they come from a socket, made into whole lines.

Law: pure and bounded. A line longer than the limit is skipped up to its end; no line is lost or
joined to another because of where the pieces were cut.
"""

from __future__ import annotations


class Lines:
    """The unfinished line of one connection."""

    def __init__(self, chars_max: int) -> None:
        """Skip lines longer than `chars_max`."""
        self._chars_max = chars_max
        self._rest = ""
        self._skipping = False

    def feed(self, text: str) -> list[str]:
        """Return the lines that `text` completes, without their ends and without empty ones."""
        *whole, rest = text.replace("\r\n", "\n").split("\n")
        if whole:
            whole[0] = "" if self._skipping else self._rest + whole[0]
            self._skipping = False
            self._rest = rest
        elif not self._skipping:
            self._rest += rest
        if len(self._rest) > self._chars_max:
            self._rest = ""
            self._skipping = True
        return [_bare(line) for line in whole if line and len(line) <= self._chars_max]


def _bare(line: str) -> str:
    return line.rstrip("\r") if line[-1] == "\r" else line
