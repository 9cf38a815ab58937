"""Where a crop looks: the port for face tracking, and the centre that stands in its place.

Law: pure; a framing answers in fractions of the source, so it knows nothing of canvases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Focus:
    """A point that matters, as fractions of the picture's width and height."""

    x: float
    y: float


class CropPath(Protocol):
    """Says where a crop should look."""

    def focus(self, at_s: float) -> Focus:
        """Return the middle of interest at this second of the clip."""
        ...


@dataclass(frozen=True, slots=True)
class CenterPath:
    """Always the middle of the picture."""

    def focus(self, at_s: float) -> Focus:
        """Return the middle, whatever the time."""
        return Focus(0.5, 0.5)
