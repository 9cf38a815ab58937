"""Made-up sessions in which chat answers sharp sounds after a known delay, for tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from random import Random

from bus.events import ChatWindow, Event, LoudnessMeasured
from tests.detectors.chats import window
from tests.detectors.world import loudness

SEGMENT_S = 2.0
_HOPS = 20
_CALM_DB, _LOUD_DB = -32.0, -12.0


def times(
    count: int, random: Random, *, first_s: float = 120.0, apart_s: float = 75.0
) -> list[float]:
    """Return when something happens."""
    found, at_s = [], first_s
    for _ in range(count):
        at_s += apart_s * random.uniform(0.6, 1.4)
        found.append(at_s)
    return found


def sound(
    happened: Iterable[float],
    length_s: float,
    random: Random,
    *,
    gaps: Collection[int] = (),
    muted: Collection[int] = (),
) -> list[LoudnessMeasured]:
    """Return segments that are loud for 2.5 s after each event.

    `gaps` and `muted` name segments that are missing, or digital silence.
    """
    loud = {round(at * 10) + hop for at in happened for hop in range(25)}
    segments = []
    for seq in range(int(length_s / SEGMENT_S)):
        hops = range(seq * _HOPS, (seq + 1) * _HOPS)
        level = [(_LOUD_DB if hop in loud else _CALM_DB) + random.gauss(0, 1.5) for hop in hops]
        if seq in muted:
            level = [-90.0] * _HOPS
        segments.append(
            loudness(
                seq,
                seq * SEGMENT_S,
                SEGMENT_S,
                () if seq in gaps else [round(each, 1) for each in level],
                () if seq in gaps else (50,) * _HOPS,
                gap=seq in gaps,
            )
        )
    return segments


def answers(
    happened: Iterable[float],
    length_s: float,
    random: Random,
    delay_of: Callable[[float], float],
    *,
    lines: int = 25,
    rate: float = 1.0,
    silent: float = 0.2,
    gaps: Collection[int] = (),
) -> list[ChatWindow]:
    """Return chat at `rate` a second, and `lines` more around the delay after each event.

    A share of the events, `silent`, is not answered; `gaps` names seconds the reader was away.
    """
    messages = [sum(random.random() < rate / 40 for _ in range(40)) for _ in range(int(length_s))]
    for at_s in happened:
        if random.random() < silent:
            continue
        for _ in range(lines):
            second = int(at_s + max(0.5, delay_of(at_s) + random.gauss(0, 2)))
            if second < len(messages):
                messages[second] += 1
    return [
        window(float(second), 0 if second in gaps else count, gap=second in gaps)
        for second, count in enumerate(messages)
    ]


def in_media_order(features: Iterable[Event], chat: Iterable[ChatWindow]) -> list[Event]:
    """Return both topics as the host feeds them: features first where they stand together."""
    both = [(event.media_s, 0, event) for event in features]  # type: ignore[attr-defined]
    both += [(window.media_s, 1, window) for window in chat]
    return [event for _, _, event in sorted(both, key=lambda each: each[:2])]
