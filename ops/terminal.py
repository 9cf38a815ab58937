"""What a person sees in the terminal while a session runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Protocol

import orjson
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)

from bus.events import (
    ChannelDegraded,
    ClipCut,
    ClipFailed,
    ClipPlanned,
    Event,
    MomentDetected,
    RenderFailed,
    RenderFinished,
    SessionStarted,
)
from ops.lines import moment_text
from ops.outcome import SessionOutcome
from web.words import clock_text, layout_text


class View(Protocol):
    """Something that shows a session."""

    def __enter__(self) -> View:
        """Begin to show."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was found."""
        ...

    def show(self, outcome: SessionOutcome, event: Event) -> None:
        """Show what an event has changed."""
        ...


class JsonView:
    """One JSON object a line on standard output: moments, clips, outputs and notices."""

    _SHOWN = (
        SessionStarted,
        MomentDetected,
        ClipPlanned,
        ClipCut,
        ClipFailed,
        RenderFinished,
        RenderFailed,
        ChannelDegraded,
    )

    def __enter__(self) -> JsonView:
        """Begin to show."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was found."""

    def show(self, outcome: SessionOutcome, event: Event) -> None:
        """Write the event, when it is one that a program would act on."""
        if isinstance(event, self._SHOWN):
            line = orjson.dumps({"type": type(event).TYPE, "event": event})
            sys.stdout.write(line.decode() + "\n")
            sys.stdout.flush()


class TerminalView:
    """Moments and clips as lines, and two bars below them: watching, and rendering."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_s = clock()
        self._resumed_from_s: float | None = None
        self._position_s = 0.0
        self._speed = 0.0
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[detail]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._watch: TaskID = self._bars.add_task("watching", total=None, detail="")
        self._render: TaskID = self._bars.add_task("rendering", total=1.0, detail="", visible=False)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The bars: watching, and rendering."""
        return tuple(self._bars.tasks)

    def __enter__(self) -> TerminalView:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was found."""
        self._bars.stop()

    def show(self, outcome: SessionOutcome, event: Event) -> None:
        """Write what a person wants to know of the event, and move the bars."""
        line = event_line(outcome, event)
        if line:
            self._bars.console.print(line, highlight=False)
        self._move(outcome)

    def _move(self, outcome: SessionOutcome) -> None:
        if outcome.started is None:
            return
        position_s = outcome.settled_until_s
        if self._resumed_from_s is None:
            self._resumed_from_s = position_s
        if position_s > self._position_s:
            # Taken when the media clock moves, so that rendering does not slow the watch down.
            elapsed_s = max(self._clock() - self._began_s, 1e-3)
            self._position_s = position_s
            self._speed = (position_s - self._resumed_from_s) / elapsed_s
        speed = self._speed
        duration_s = outcome.started.duration_s
        detail = f"{clock_text(position_s)}"
        if duration_s:
            detail += f" of {clock_text(duration_s)}  {speed:.0f}× real time"
            if speed > 0 and position_s < duration_s:
                detail += f"  {clock_text((duration_s - position_s) / speed)} left"
        detail += f"  {len(outcome.moments)} moments, {len(outcome.planned)} clips"
        self._bars.update(
            self._watch, total=duration_s, completed=position_s, detail=detail, refresh=False
        )
        alive = [clip for clip in outcome.planned if clip.failed is None]
        finished = sum(clip.settled(outcome.layouts) for clip in alive)
        self._bars.update(
            self._render,
            completed=outcome.render_share,
            visible=bool(alive),
            detail=f"{outcome.render_share:.0%}  {finished} of {len(alive)} clips finished",
            refresh=False,
        )


def event_line(outcome: SessionOutcome, event: Event) -> str:
    """Return what a person reads about an event, in rich's markup; empty for most events."""
    match event:
        case SessionStarted():
            return f"[bold]{escape(event.title)}[/]"
        case MomentDetected():
            shown = replace(event, peak_s=event.peak_s + _zero_s(outcome))
            return f"[dim]moment[/] {escape(moment_text(shown))}"
        case ClipPlanned():
            span = _span(outcome, event.clip_id)
            return f"[bold green]clip[/]   {span:>8}  {escape(event.title)}"
        case ClipFailed():
            return f"[red]failed[/] {escape(event.detail or event.reason)}"
        case RenderFinished():
            return (
                f"[green]ready[/]  {_span(outcome, event.clip_id):>8}  "
                f"{layout_text(event.layout)} {event.width}×{event.height}"
            )
        case RenderFailed():
            return (
                f"[red]failed[/] {_span(outcome, event.clip_id):>8}  "
                f"{layout_text(event.layout)}: {escape(event.detail or event.reason)}"
            )
        case ChannelDegraded():
            at_s = event.media_s + _zero_s(outcome)
            return f"[yellow]notice[/] {clock_text(at_s):>8}  {escape(event.detail)}"
        case _:
            return ""


def _span(outcome: SessionOutcome, clip_id: str) -> str:
    clip = outcome.clips.get(clip_id)
    if clip is None or clip.planned is None:
        return ""
    zero_s = _zero_s(outcome)
    return f"{clock_text(zero_s + clip.planned.start_s)}–{clock_text(zero_s + clip.planned.end_s)}"


def _zero_s(outcome: SessionOutcome) -> float:
    """Return where the watched part begins in its recording: a person knows times of the whole."""
    return 0.0 if outcome.started is None else outcome.started.vod_start_s
