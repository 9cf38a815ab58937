"""Moment quality: precision on labelled chat, and what unlabelled chat says of the same detectors.

Viewers who type `clip that` know that something happened. How many of their commands fall near a
spike, against the share of time that lies near one, is the lift: one would be chance.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bus.events import ChatWindow, MomentDetected
from detectors.clip_command import ClipCommands
from detectors.settings import ChatSpikeSettings, ClipCommandSettings
from ops.score import score_folder
from ops.scoring.methods import Session, spikes
from ops.scoring.windows import read_windows

CHAT = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "chat"
NEAR_BEFORE_S, NEAR_AFTER_S = 10, 45
"""A command is near a spike from 10 s before the peak of chat to 45 s after it."""
STRONG = 0.6


@dataclass(frozen=True, slots=True)
class Stream:
    """What was found in one unlabelled stream."""

    name: str
    length_s: int
    messages: int
    commands: int
    spikes: int
    strong: int
    command_moments: int
    near_s: float
    near_commands: int
    strong_near_s: float
    strong_near_commands: int
    detect_s: float


def main() -> None:
    """Print both tables."""
    console = Console()
    if not CHAT.is_dir():
        console.print(f"there is no {CHAT}: nothing is measured")
        return
    score_folder(CHAT).print(console)
    streams = [measured(path) for path in sorted(CHAT.glob("unlabelled-*.jsonl.gz"))]
    console.print(as_table(streams))


def measured(path: Path) -> Stream:
    """Run both chat detectors over a stream."""
    windows = read_windows(path, path.name)
    begun = time.perf_counter()
    found = spikes(windows, ChatSpikeSettings())
    detect_s = time.perf_counter() - begun
    strong = [moment for moment in found if moment.score >= STRONG]
    commands = np.array([len(window.commands) for window in windows])
    near, strong_near = near_spikes(len(windows), found), near_spikes(len(windows), strong)
    return Stream(
        name=path.name.removesuffix(".jsonl.gz").removeprefix("unlabelled-"),
        length_s=len(windows),
        messages=sum(window.messages for window in windows),
        commands=int(commands.sum()),
        spikes=len(found),
        strong=len(strong),
        command_moments=command_moments(windows),
        near_s=float(near.sum()),
        near_commands=int(commands[near].sum()),
        strong_near_s=float(strong_near.sum()),
        strong_near_commands=int(commands[strong_near].sum()),
        detect_s=detect_s,
    )


def command_moments(windows: Sequence[ChatWindow]) -> int:
    """Return how many moments the clip commands make."""
    detector = ClipCommands(Session("stream").started(), ClipCommandSettings())
    return sum(len(detector.feed(window)) for window in windows) + len(detector.flush())


def near_spikes(length_s: int, found: Sequence[MomentDetected]) -> NDArray[np.bool_]:
    """Return for each second whether it lies near the chat peak of a spike."""
    near = np.zeros(length_s, dtype=bool)
    for moment in found:
        peak = round(moment.peak_s + ChatSpikeSettings().reaction_s)
        near[max(0, peak - NEAR_BEFORE_S) : peak + NEAR_AFTER_S] = True
    return near


def as_table(streams: Sequence[Stream]) -> Table:
    """Return a row for each stream and one for all."""
    title = f"unlabelled chat; strong: score ≥ {STRONG}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in (
        "stream",
        "hours",
        "messages\n/s",
        "spikes\n/h",
        "strong\n/h",
        "commands",
        "asked\n/h",
        "lift",
        "lift,\nstrong",
        "× real\ntime",
    ):
        table.add_column(heading)
    for stream in streams:
        table.add_row(stream.name, *_figures([stream]))
    table.add_row("all", *_figures(streams))
    return table


def _figures(streams: Sequence[Stream]) -> list[str]:
    length_s = sum(stream.length_s for stream in streams)
    hours = length_s / 3600.0
    commands = sum(stream.commands for stream in streams)

    def lift(near_s: float, near_commands: int) -> str:
        if not near_s or not commands:
            return "–"
        return f"{near_commands / commands / (near_s / length_s):.1f}"

    return [
        f"{hours:.1f}",
        f"{sum(stream.messages for stream in streams) / length_s:.2f}",
        f"{sum(stream.spikes for stream in streams) / hours:.1f}",
        f"{sum(stream.strong for stream in streams) / hours:.1f}",
        str(commands),
        f"{sum(stream.command_moments for stream in streams) / hours:.1f}",
        lift(sum(s.near_s for s in streams), sum(s.near_commands for s in streams)),
        lift(sum(s.strong_near_s for s in streams), sum(s.strong_near_commands for s in streams)),
        f"{length_s / sum(stream.detect_s for stream in streams):,.0f}",
    ]


if __name__ == "__main__":
    main()
