"""Made-up chat, second by second, for tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from random import Random

from bus.events import ChatWindow, ClipCommand, Event, MomentDetected, SessionStarted
from detectors.port import Detector

NAMES = {"tenant_id": "t", "channel_id": "c", "session_id": "s"}


def started() -> SessionStarted:
    return SessionStarted(**NAMES, kind="live", title="", source="", has_chat=True)


def window(
    second: float,
    messages: int = 0,
    *,
    shouts: int = 0,
    echoes: int = 0,
    gap: bool = False,
    samples: tuple[str, ...] = (),
    commands: tuple[ClipCommand, ...] = (),
) -> ChatWindow:
    return ChatWindow(
        **NAMES,
        media_s=second,
        messages=messages,
        lines=messages,
        chatters=messages,
        shouts=shouts,
        echoes=echoes,
        gap=gap,
        samples=samples,
        commands=commands,
    )


def chat(
    length_s: int,
    *,
    rate: float,
    bursts: Iterable[int] = (),
    burst_rate: float = 0.0,
    burst_s: int = 12,
    gaps: Collection[int] = (),
    seed: int = 1,
) -> list[ChatWindow]:
    """Return chat that comes by chance at `rate` a second, and at `burst_rate` more in bursts."""
    random = Random(seed)
    in_burst = {second for begin in bursts for second in range(begin, begin + burst_s)}
    windows = []
    for second in range(length_s):
        extra = burst_rate if second in in_burst else 0.0
        messages = _by_chance(random, rate + extra)
        loud = sum(random.random() < (0.6 if extra else 0.1) for _ in range(messages))
        samples = ("POG",) if extra and messages else ("hello",) * bool(messages)
        if second in gaps:
            windows.append(window(second, gap=True))
        else:
            windows.append(window(second, messages, shouts=loud, samples=samples))
    return windows


def run(detector: Detector, events: Sequence[Event], *, flush: bool = True) -> list[MomentDetected]:
    """Feed the events and return all moments."""
    moments = [moment for event in events for moment in detector.feed(event)]
    return moments + detector.flush() if flush else moments


def _by_chance(random: Random, mean: float) -> int:
    """Draw a count of independent arrivals: chances in forty small slots."""
    return sum(random.random() < mean / 40.0 for _ in range(40))
