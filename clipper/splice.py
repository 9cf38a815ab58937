"""Puts chosen stretches one behind the other: the cut's own timeline.

Law: the cut's zero is its first shown picture; where media is missing the next stretch follows at
once, and the seconds that are missing are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bus.events import Word
from clipper.groups import Chosen
from clipper.parts import Part, seconds

_GAP_TOLD_S = 0.1
"""Less than this is a matter of whole pictures, not of missing media."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part, what is kept of it, and where that lies in the cut."""

    part: Part
    chosen: Chosen
    offset_s: float
    """Cut time of the part's first shown picture."""

    def to_cut(self, here_s: float) -> float:
        """Map the part's time to the cut's."""
        return self.offset_s + here_s - self.chosen.zero_s

    @property
    def media_in_s(self) -> float:
        """Media time of the stretch's exact start."""
        return self.part.to_media(self.chosen.in_s)

    @property
    def media_out_s(self) -> float:
        """Media time of the stretch's exact end."""
        return self.part.to_media(self.chosen.out_s)


@dataclass(frozen=True, slots=True)
class Splice:
    """The cut's timeline."""

    stretches: tuple[Stretch, ...]
    gap_s: float

    @property
    def in_s(self) -> float:
        """Exact start of the clip in the cut."""
        return self.stretches[0].to_cut(self.stretches[0].chosen.in_s)

    @property
    def out_s(self) -> float:
        """Exact end of the clip in the cut."""
        return self.stretches[-1].to_cut(self.stretches[-1].chosen.out_s)

    def words(self, words: Sequence[Word]) -> list[Word]:
        """Move words from the media clock to the clip's; what lies in a gap falls out."""
        moved = []
        for word in words:
            for each in self.stretches:
                if word.start_s >= each.media_out_s or word.end_s <= each.media_in_s:
                    continue
                start_s = max(word.start_s, each.media_in_s)
                end_s = min(word.end_s, each.media_out_s)
                base_s = each.to_cut(each.part.to_container(start_s)) - self.in_s
                moved.append(
                    Word(
                        text=word.text,
                        start_s=round(max(0.0, base_s), 3),
                        end_s=round(max(0.0, base_s) + end_s - start_s, 3),
                        confidence=word.confidence,
                    )
                )
                break
        return moved


def splice(chosen: Sequence[tuple[Part, Chosen]], start_s: float, end_s: float) -> Splice:
    """Lay stretches (at least one, in order) behind each other and count what is missing."""
    stretches: list[Stretch] = []
    offset_s, gap_s, covered_s = 0.0, 0.0, start_s
    for number, (part, choice) in enumerate(chosen):
        kept = choice if number == len(chosen) - 1 else _without_tail(part, choice)
        stretch = Stretch(part, kept, offset_s)
        gap_s += _told(stretch.media_in_s - covered_s)
        stretches.append(stretch)
        covered_s = stretch.media_out_s
        offset_s += choice.out_s - choice.zero_s
    gap_s += _told(end_s - covered_s)
    return Splice(tuple(stretches), round(gap_s, 3))


def _without_tail(part: Part, choice: Chosen) -> Chosen:
    """Leave out what a stretch holds behind its end: the next stretch is shown then."""
    packets = part.video_packets if part.video is not None else part.audio_packets
    shown = (at for at in choice.kept if seconds(packets[at], packets[at].pts) < choice.out_s)
    return replace(choice, kept=tuple(shown))


def _told(hole_s: float) -> float:
    return hole_s if hole_s > _GAP_TOLD_S else 0.0
