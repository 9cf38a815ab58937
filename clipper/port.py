"""What a ranking is: moments in, picks, joins and passes out.

Law: every moment that is offered ends in exactly one decision: inside a Pick, as a Join or as a
Pass; time is told by `settle` alone, and the order of offers between two settles changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bus.events import ChatWindow, MomentDetected
from clipper.sound import Sound


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """Moments that become one clip. Times are media seconds."""

    start_s: float
    peak_s: float
    end_s: float
    score: float
    """0 to 1."""
    kinds: tuple[str, ...]
    """Sorted, each once."""
    moments: tuple[MomentDetected, ...]
    """In order of their peaks; at least one."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A moment that does not become a clip."""

    moment_id: str
    reason: str
    """A sentence for a person."""


@dataclass(frozen=True, slots=True)
class Join:
    """A moment that tells of a Pick that has been given out before."""

    moment_id: str
    pick: Pick


Decision = Pick | Pass | Join


class Ranker(Protocol):
    """A way to choose among moments."""

    @property
    def name(self) -> str:
        """The word that the settings know it by."""
        ...

    def offer(self, moment: MomentDetected) -> list[Decision]:
        """Take a moment in; the decision may come now or later."""
        ...

    def settle(self, media_s: float) -> list[Decision]:
        """Every moment decided before `media_s` has been offered; decide what is ripe."""
        ...

    def close(self) -> list[Decision]:
        """The session has ended: decide all that is left."""
        ...


class ChatRanker(Ranker, Protocol):
    """A ranking that also wants the whole session's chat, told before `close`."""

    def hear(self, windows: Sequence[ChatWindow]) -> None:
        """Take in all windows of the session, in order of time, without samples."""
        ...


class SoundRanker(Ranker, Protocol):
    """A ranking that also wants the whole session's sound, told before `close`."""

    def listen(self, sound: Sound) -> None:
        """Take in the session's loudness and voice from beginning to end."""
        ...
