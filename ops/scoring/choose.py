"""Chooses settings on some videos for the one that is left out.

Law: what is reported for a video comes from settings that were chosen without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Settings = TypeVar("Settings")
Place = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Choice(Generic[Settings]):
    """The settings that were chosen with one video left out."""

    settings: Settings
    values: tuple[float, ...]
    """Its values on the grid's axes."""


class Grid(Generic[Settings]):
    """All settings that may be chosen: a few values on a few axes.

    Args:
        axes: values by axis name.
        make: builds the settings from one value of each axis.
    """

    def __init__(self, axes: Mapping[str, Sequence[float]], make: Callable[..., Settings]) -> None:
        self.names = tuple(axes)
        self.shape = tuple(len(values) for values in axes.values())
        self.places: list[Place] = list(product(*(range(size) for size in self.shape)))
        self._axes = tuple(tuple(values) for values in axes.values())
        self.make = make

    def choice(self, place: Place) -> Choice[Settings]:
        """Return what stands at a place of the grid."""
        values = tuple(axis[at] for axis, at in zip(self._axes, place, strict=True))
        return Choice(self.make(**dict(zip(self.names, values, strict=True))), values)

    def best_place(self, worth: NDArray[np.float64]) -> Place:
        """Return the place with the best surroundings.

        Args:
            worth: one figure for each place, in order. A place is judged by the mean of itself
                and its direct neighbours: with few videos a lone summit is luck.
        """
        table = dict(zip(self.places, worth, strict=True))
        return max(self.places, key=lambda place: self._surrounding(table, place))

    def _surrounding(self, table: Mapping[Place, float], place: Place) -> float:
        around = [table[place]]
        for axis in range(len(place)):
            for step in (-1, 1):
                near = (*place[:axis], place[axis] + step, *place[axis + 1 :])
                if near in table:
                    around.append(table[near])
        return float(np.mean(around))


def leave_one_out(grid: Grid[Settings], figures: NDArray[np.float64]) -> list[Place]:
    """Return for each video the place that the other videos choose.

    Args:
        figures: (places, videos, ks) precision of each place of the grid on each video; the sum
            over ks is what is wanted high.
    """
    worth = figures.sum(axis=2)
    videos = worth.shape[1]
    if videos < 2:
        raise ValueError("leaving one out takes two videos")
    places = []
    for left_out in range(videos):
        others = [video for video in range(videos) if video != left_out]
        places.append(grid.best_place(worth[:, others].mean(axis=1)))
    return places
