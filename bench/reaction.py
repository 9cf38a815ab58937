"""Measures how well a channel's chat delay is learned, and what that does to moments' peaks.

Run: .venv/bin/python -m bench.reaction

Made-up sessions, whose delay is known: sharp sounds every 75 s or so, 80 % of them answered by 25
lines around the delay (deviation 2 s) in chat of one line a second, and as many loud sounds that
nobody answers. Real chat: the labelled videos have no sound here, so a sharp sound is put where
each labelled highlight has its middle; what is learned then is chat's lag behind the labels.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bus.events import Event, MomentDetected, SessionStarted
from detectors.answers import Answers
from detectors.chat_spike import ChatSpike
from detectors.host import DetectorHost
from detectors.reaction import Reaction
from detectors.settings import ChatSpikeSettings, ReactionSettings
from ops.scoring.methods import Session
from ops.scoring.windows import read_windows
from tests.detectors.reactions import SEGMENT_S, answers, in_media_order, sound, times

CHAT = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "chat"
DELAYS_S = (2.0, 5.0, 8.0, 12.0, 18.0, 25.0)
EVENTS = (6, 10, 15, 20, 30, 40)
SEEDS = range(6)
CHANCE_SESSIONS = 40
NEAR_S = 40.0
"""A moment belongs to an event that lies within this of it."""


def main() -> None:
    """Print the tables."""
    console = Console()
    console.print(_by_events())
    console.print(_by_delay())
    console.print(_by_chance())
    if CHAT.is_dir():
        console.print(_by_video())
        console.print(_by_burst())
    else:
        console.print(f"there is no {CHAT}: real chat is not measured")


def made_up(delay_s: float, events: int, seed: int) -> tuple[list[float], list[Event]]:
    """Return when something happened, and the session's sound and chat in media order."""
    random = Random(seed * 1_000 + round(delay_s))
    happened = times(events, random)
    length_s = happened[-1] + 60.0
    unanswered = [random.uniform(60.0, length_s) for _ in range(events)]
    loud = sound([*happened, *unanswered], length_s, random)
    return happened, in_media_order(loud, answers(happened, length_s, random, lambda _: delay_s))


def estimate(started: SessionStarted, events: Iterable[Event]) -> tuple[Reaction, bool]:
    """Return the learner after the session, and whether it has learned anything."""
    reaction = Reaction(started)
    told = [learned for event in events if (learned := reaction.feed(event)) is not None]
    return reaction, bool(told)


def peak_errors(happened: Sequence[float], events: Iterable[Event], *, learn: bool) -> list[float]:
    """Return how far the second half's chat moments lie from what they tell of, in seconds."""
    started = Session("made-up").started()
    reaction = Reaction(started) if learn else None
    spike = ChatSpike(started)
    host = DetectorHost(started, [spike], reaction=reaction)
    moments = [each for event in events for each in host.feed(event)]
    half_s = happened[len(happened) // 2]
    errors = []
    for moment in moments:
        if isinstance(moment, MomentDetected) and moment.peak_s > half_s:
            nearest_s = min((abs(moment.peak_s - at_s) for at_s in happened), default=NEAR_S)
            if nearest_s < NEAR_S:
                errors.append(nearest_s)
    return errors


def _by_events() -> Table:
    usual_s = Reaction(Session("made-up").started()).delay_s
    table = _table("events", "sessions", "learned", "error, median", "error, 90 %", "within 2 s")
    for events in EVENTS:
        errors, learned, runs = [], 0, 0
        for delay_s in DELAYS_S:
            for seed in SEEDS:
                _, session = made_up(delay_s, events, seed)
                reaction, has_learned = estimate(Session("made-up").started(), session)
                runs += 1
                learned += has_learned
                if has_learned:
                    errors.append(abs(reaction.delay_s - delay_s))
        table.add_row(
            str(events),
            str(runs),
            f"{learned / runs:.0%}",
            f"{statistics.median(errors):.1f} s" if errors else "–",
            f"{_tenth_worst(errors):.1f} s" if errors else "–",
            f"{sum(each <= 2.0 for each in errors) / len(errors):.0%}" if errors else "–",
        )
    fixed = statistics.median(abs(delay_s - usual_s) for delay_s in DELAYS_S)
    table.caption = f"the fixed {usual_s:.0f} s would be {fixed:.1f} s off (median of the delays)"
    return table


def _by_delay() -> Table:
    table = _table("true delay", "peak off, fixed", "peak off, learned", "× real time")
    for delay_s in DELAYS_S:
        fixed, learned, media_s, took_s = [], [], 0.0, 0.0
        for seed in SEEDS:
            happened, session = made_up(delay_s, 40, seed)
            fixed += peak_errors(happened, session, learn=False)
            began = time.perf_counter()
            learned += peak_errors(happened, session, learn=True)
            took_s += time.perf_counter() - began
            media_s += len(session) / 3 * SEGMENT_S
        table.add_row(
            f"{delay_s:.0f} s",
            f"{statistics.median(fixed):.1f} s",
            f"{statistics.median(learned):.1f} s",
            f"{media_s / took_s:,.0f}",
        )
    return table


def _by_video() -> Table:
    table = _table("video", "highlights", "answers", "learned", "spread")
    for path in sorted(CHAT.glob("*.labels.json")):
        name = path.name.removesuffix(".labels.json")
        windows = read_windows(path.with_name(f"{name}.jsonl.gz"), name)
        labels = orjson.loads(path.read_bytes())
        middles = sorted({(each["start_s"] + each["end_s"]) / 2 for each in labels})
        started = Session(name).started()
        length_s = windows[-1].media_s + 1.0
        session = in_media_order(sound(middles, length_s, Random(1)), windows)
        reaction = Reaction(started)
        told = [one for each in session if (one := reaction.feed(each)) is not None]
        last = told[-1] if told else None
        table.add_row(
            name,
            str(len(middles)),
            str(reaction.samples),
            f"{last.delay_s:.1f} s" if last else "nothing",
            f"{last.spread_s:.1f} s" if last else "–",
        )
    return table


def _by_chance() -> str:
    """Return in how many sessions something was learned from sound and chat that are strangers."""
    learned = 0
    for seed in range(CHANCE_SESSIONS):
        random = Random(seed)
        loud, busy = times(72, random), times(72, random)
        length_s = min(loud[-1], busy[-1])
        chat = answers(busy, length_s, random, lambda _: 0.0)
        session = in_media_order(sound(loud, length_s, random), chat)
        learned += estimate(Session("made-up").started(), session)[1]
    return f"sound and chat are strangers: learned in {learned} of {CHANCE_SESSIONS} sessions"


def _by_burst() -> str:
    """Return where, in real chat, a burst's middle and clip commands lie to each other."""
    ends_after, asked_after = [], []
    for path in sorted(CHAT.glob("*.jsonl.gz")):
        windows = read_windows(path, path.name)
        started, settings = Session(path.name).started(), ReactionSettings()
        spike = ChatSpike(started, ChatSpikeSettings(reaction_s=0.0))
        bursts = Answers(started, settings)
        middles = []
        for window in windows:
            peaks = [moment.peak_s for moment in spike.feed(window)]
            found = bursts.feed(replace(window, commands=()))
            middles += found
            ends_after += [peak - at for peak, at in zip(peaks, found, strict=False)]
        asked = [command.at_s for window in windows for command in window.commands]
        firsts = [
            at
            for at, before in zip(asked, [-NEAR_S, *asked], strict=False)
            if at - before >= settings.answer_apart_s
        ]
        near = [at - middle for at in firsts for middle in middles]
        asked_after += [lag for lag in near if abs(lag) < NEAR_S / 2]
    return (
        f"real chat: the liveliest stretch ends {statistics.median(ends_after):.1f} s after its "
        f"middle ({len(ends_after)} bursts, quartiles {statistics.quantiles(ends_after)}); "
        f"commands come {statistics.median(asked_after):.1f} s after it ({len(asked_after)})"
    )


def _tenth_worst(errors: Sequence[float]) -> float:
    return sorted(errors)[min(len(errors) - 1, int(0.9 * len(errors)))]


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


if __name__ == "__main__":
    main()
