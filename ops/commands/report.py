"""How a one-shot run is shown and summed up."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
from rich.console import Console
from rich.markup import escape

from ops.commands.options import FAILED, OK, STOPPED, Options
from ops.lines import missing_text, reaction_row
from ops.oneshot import Ran
from ops.outcome import SessionOutcome
from ops.terminal import JsonView, TerminalView, View
from web.words import clock_text, reaction_text


def view_for(options: Options) -> View:
    """Return what shows a run: lines of JSON, or lines and bars for a person."""
    return JsonView() if options.as_json else TerminalView(Console(), time.monotonic)


def report(ran: Ran, folder: Path, took_s: float, options: Options) -> int:
    """Say how a run ended, and return the command's exit code."""
    outcome = ran.outcome
    if options.as_json:
        summary = {
            "type": "clipthat.summary.v1",
            "complete": ran.complete,
            "folder": str(folder.resolve()),
            "took_s": round(took_s, 2),
            "media_s": round(outcome.stored_until_s, 2) if outcome else 0.0,
            "moments": len(outcome.moments) if outcome else 0,
            "clips": len(_ready(outcome)) if outcome else 0,
            "reaction": reaction_row(outcome.reaction) if outcome else None,
        }
        print(orjson.dumps(summary).decode())
    else:
        _tell(Console(), ran, folder, took_s)
    if not ran.complete:
        return STOPPED
    return FAILED if outcome is not None and _all_failed(outcome) else OK


def _ready(outcome: SessionOutcome) -> list[str]:
    return [clip.clip_id for clip in outcome.planned if clip.cut is not None]


def _all_failed(outcome: SessionOutcome) -> bool:
    return bool(outcome.planned) and not _ready(outcome)


def _count(number: int, what: str) -> str:
    return f"{number} {what if number == 1 else what + 's'}"


def why_no_clip(outcome: SessionOutcome) -> str:
    """Return why a session ended without a clip, and what would help."""
    started = outcome.started
    has_chat = started is not None and started.has_chat
    if outcome.moments:
        seen = "moments.jsonl says what was seen and why it was not taken"
        helps = "" if has_chat else "; chat (--chat FILE) helps most"
        return f"No moment was strong enough. {seen}{helps}."
    if started is not None and started.clips_max is not None:
        helps = "" if has_chat else " Chat (--chat FILE) helps most."
        return (
            "No clip: no moment was seen, and no lively stretch could be taken instead, for there "
            f"is no sound to find one by (or clipper.best_n.fill is off).{helps}"
        )
    helps = "watching for longer" if has_chat else "chat (--chat FILE)"
    return f"No moment was seen, so there is no clip; {helps} helps most."


def _tell(console: Console, ran: Ran, folder: Path, took_s: float) -> None:
    outcome = ran.outcome
    if not ran.complete or outcome is None:
        console.print("[yellow]stopped[/] nothing is lost: the same command goes on from here")
        return
    watched_s = outcome.stored_until_s
    console.print(
        f"watched {clock_text(watched_s)} in {clock_text(took_s)}: "
        f"{_count(len(outcome.moments), 'moment')}, {_count(len(_ready(outcome)), 'clip')}",
        highlight=False,
    )
    lost = missing_text(outcome.missing)
    if lost:
        console.print(f"[yellow]without media[/]: {lost}", highlight=False)
    if outcome.reaction is not None:
        learned = outcome.reaction
        console.print(reaction_text(learned.delay_s, learned.samples), highlight=False)
    for clip in outcome.planned:
        for failure in clip.render_failures.values():
            console.print(f"[red]not made[/] {failure.layout}: {escape(failure.detail)}")
    if not outcome.planned:
        console.print(why_no_clip(outcome), highlight=False)
    page = (folder / "index.html").resolve()
    console.print(f"clips  {escape(str(folder / 'clips.json'))}", highlight=False, soft_wrap=True)
    console.print(f"page   {page.as_uri()}", highlight=False, soft_wrap=True)
