"""`clipthat replay`."""

from __future__ import annotations

from pathlib import Path

import orjson
from rich.console import Console

from clipper.errors import ClipperError
from ops.bootstrap import detector_host, session_clipper
from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.errors import OpsError
from ops.lines import moment_text, reaction_row
from ops.replay import Replayed, replay
from store.errors import StoreError
from store.feature_log import NAME as FEATURES_NAME
from store.feature_log import read_features
from web.words import clock_text, kind_text, reaction_text


def replay_command(features: Path, ranker: str | None, options: Options) -> int:
    """Replay recorded features and print what detectors and ranker make of them."""
    path = features / FEATURES_NAME if features.is_dir() else features
    try:
        settings = loaded(options).settings
        if not path.is_file():
            raise OpsError(
                f"{path} is not there; `clipthat vod` and `clipthat live` leave it in their folder"
            )
        results = replay(
            read_features(path),
            lambda started: detector_host(settings, started),
            lambda started: session_clipper(settings, started, ranker or ""),
        )
    except (OpsError, StoreError, ClipperError) as error:
        complain(str(error))
        return FAILED
    for result in results:
        if options.as_json:
            print(orjson.dumps(_row(result)).decode())
        else:
            _tell(Console(), result)
    return OK


def _row(result: Replayed) -> dict[str, object]:
    taken = result.taken()
    return {
        "session_id": result.started.session_id,
        "title": result.started.title,
        "reaction": reaction_row(result.reaction),
        "moments": [
            {
                "id": moment.event_id,
                "kind": moment.kind,
                "start_s": moment.start_s,
                "peak_s": moment.peak_s,
                "end_s": moment.end_s,
                "decided_s": moment.decided_s,
                "score": moment.score,
                "evidence": dict(moment.evidence),
                "taken": moment.event_id in taken,
                "clip_id": taken.get(moment.event_id),
                "why_not": result.passed[moment.event_id].reason
                if moment.event_id in result.passed
                else None,
            }
            for moment in result.moments
        ],
        "clips": [
            {
                "id": clip.clip_id,
                "start_s": clip.start_s,
                "peak_s": clip.peak_s,
                "end_s": clip.end_s,
                "score": clip.score,
                "kinds": result.kinds_of(clip),
                "title": clip.title,
            }
            for clip in result.clips
        ],
    }


def _tell(console: Console, result: Replayed) -> None:
    console.print(f"[bold]{result.started.title}[/]")
    if result.reaction is not None:
        learned = result.reaction
        console.print(reaction_text(learned.delay_s, learned.samples), highlight=False)
    for moment in sorted(result.moments, key=lambda each: each.peak_s):
        passed = result.passed.get(moment.event_id)
        why = f"  [dim]{passed.reason}[/]" if passed is not None else ""
        console.print(f"moment {moment_text(moment)}{why}", highlight=False)
    for clip in sorted(result.clips, key=lambda each: each.start_s):
        span = f"{clock_text(clip.start_s)}–{clock_text(clip.end_s)}"
        kinds = ", ".join(map(kind_text, result.kinds_of(clip)))
        console.print(
            f"[green]clip[/]   {span:>8}  {clip.score:.2f}  {clip.title}  ({kinds})",
            highlight=False,
        )
