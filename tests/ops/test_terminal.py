"""The terminal tells what happens in plain words, and its speed is that of the watch."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from bus.events import ChannelDegraded, ClipPlanned, MomentsSettled, RenderFinished, SessionStarted
from ops.outcome import SessionOutcome
from ops.terminal import TerminalView, event_line

WHO = {"tenant_id": "t", "channel_id": "c", "session_id": "s"}
STARTED = SessionStarted(**WHO, kind="file", title="video", source="video.mp4", duration_s=600.0)
PLANNED = ClipPlanned(
    **WHO,
    clip_id="a",
    start_s=62.0,
    peak_s=80.0,
    end_s=90.0,
    score=0.7,
    kinds=("chat_spike",),
    moment_ids=("m",),
    title="[bold]no way[/]",
)
READY = RenderFinished(
    **WHO,
    render_id="r",
    clip_id="a",
    layout="vertical_blur",
    output_key="o",
    width=1080,
    height=1920,
    duration_s=28.0,
    size_bytes=1,
)


def outcome_of(*events: SessionStarted | ClipPlanned | MomentsSettled) -> SessionOutcome:
    outcome = SessionOutcome("s", ("vertical_blur",))
    for event in events:
        outcome.feed(event)
    return outcome


def test_a_finished_output_says_which_clip_it_is() -> None:
    line = event_line(outcome_of(STARTED, PLANNED), READY)
    assert "1:02–1:30" in line
    assert "vertical 1080×1920" in line


def test_a_title_from_chat_is_no_markup() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=100)
    console.print(event_line(outcome_of(STARTED, PLANNED), PLANNED))
    assert "[bold]no way[/]" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_speed_stands_still_while_clips_are_rendered() -> None:
    now_s = 0.0
    screen = io.StringIO()
    view = TerminalView(Console(file=screen, force_terminal=True, width=140), lambda: now_s)
    outcome = outcome_of(STARTED)
    view.show(outcome, STARTED)
    now_s = 10.0
    settled = MomentsSettled(**WHO, media_s=600.0)
    outcome.feed(settled)
    view.show(outcome, settled)
    now_s = 60.0
    view.show(outcome, READY)
    (bar, _) = view.tasks
    assert "60× real time" in bar.fields["detail"]
    assert "left" not in bar.fields["detail"]


def test_times_are_those_of_the_whole_recording() -> None:
    part = replace(STARTED, vod_start_s=3600.0)
    outcome = outcome_of(part, PLANNED)
    assert "1:01:02–1:01:30" in event_line(outcome, PLANNED)
    notice = ChannelDegraded(**WHO, media_s=5.0, reason="muted", detail="a muted part")
    assert "1:00:05" in event_line(outcome, notice)
