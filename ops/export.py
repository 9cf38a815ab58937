"""Puts a session's clips into a folder that a person can open.

Law: a file appears under its final name only when it is whole, and `clips.json` names only files
that are there.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from bus.consume import fold
from bus.ports import Record
from bus.stage import Ctx
from ops.outcome import ClipOutcome, SessionOutcome
from store.errors import ObjectMissing, StorageFull
from store.feature_log import NAME as FEATURES_NAME
from store.keys import session_key
from store.objects import NO_SPACE, Objects, download
from web.page import ClipCard, render_clips_page
from web.words import span_text

TOPICS = ("sessions", "moments", "clips", "renders")

Row = dict[str, Any]


class Export:
    """Folds sessions and writes `clips.json`, `moments.jsonl`, `index.html`, and the files."""

    name = "export"

    def __init__(self, out: Path, objects: Objects, layouts: tuple[str, ...]) -> None:
        self._out = out
        self._objects = objects
        self._layouts = layouts
        self._sessions: dict[str, SessionOutcome] = {}
        self._clips: dict[str, Row] = _by_id(_read_json(out / "clips.json"))
        self._moments: dict[str, Row] = _by_id(_read_lines(out / "moments.jsonl"))
        self.done: dict[str, asyncio.Event] = {}
        self._written: dict[str, bytes] = {}

    def finished(self, session_id: str) -> asyncio.Event:
        """Return the event that is set once everything of a session lies in the folder."""
        return self.done.setdefault(session_id, asyncio.Event())

    async def run(self, ctx: Ctx) -> None:
        """Write until drained."""
        self._sessions.clear()
        await fold(ctx, "export", TOPICS, self._take, self._open_sessions)

    async def bring_features(self, tenant_id: str, session_id: str) -> bool:
        """Copy the session's recorded features; False while they are not complete yet."""
        key = session_key(tenant_id, session_id, FEATURES_NAME)
        try:
            write_whole(self._out / FEATURES_NAME, await self._objects.get(key))
        except ObjectMissing:
            return False
        return True

    def _open_sessions(self) -> Collection[str]:
        # Sessions that are done count as well: each run reads the folder's whole log, knows what
        # lies here already and puts back what somebody has removed.
        return self._sessions.keys()

    async def _take(self, records: Sequence[Record]) -> None:
        touched: dict[str, SessionOutcome] = {}
        for record in records:
            name = record.event.session_id
            session = self._sessions.setdefault(name, SessionOutcome(name, self._layouts))
            session.feed(record.event)
            touched[name] = session
        for session in touched.values():
            await self._write_clips(session)
            self._note_moments(session)
        await asyncio.to_thread(self._write_lists)
        for name, session in touched.items():
            if session.phase == "done":
                self.finished(name).set()

    async def _write_clips(self, session: SessionOutcome) -> None:
        for clip in session.planned:
            if clip.cut is None or clip.planned is None:
                continue
            files = await self._write_files(clip)
            self._clips[clip.clip_id] = clip_row(session, clip, files)

    async def _write_files(self, clip: ClipOutcome) -> dict[str, str]:
        assert clip.cut is not None
        wanted = {"source": ("source.mp4", clip.cut.source_key)}
        for layout, render in clip.renders.items():
            kind = "landscape" if layout == "landscape" else "vertical"
            wanted[kind] = (f"{kind}.mp4", render.output_key)
            if kind == "vertical" and render.thumbnail_key:
                wanted["thumbnail"] = ("thumbnail.jpg", render.thumbnail_key)
            if kind == "vertical" and render.captions_key:
                wanted["captions"] = ("captions.vtt", render.captions_key)
        files: dict[str, str] = {}
        for kind, (name, key) in wanted.items():
            relative = Path("clips") / clip.clip_id / name
            if not (self._out / relative).exists():
                await download(self._objects, key, self._out / relative)
            files[kind] = relative.as_posix()
        return files

    def _note_moments(self, session: SessionOutcome) -> None:
        taken = session.taken()
        for moment_id, moment in session.moments.items():
            passed = session.passed.get(moment_id)
            self._moments[moment_id] = {
                "id": moment_id,
                "session_id": session.session_id,
                "kind": moment.kind,
                "start_s": round(moment.start_s, 3),
                "peak_s": round(moment.peak_s, 3),
                "end_s": round(moment.end_s, 3),
                "decided_s": round(moment.decided_s, 3),
                "score": round(moment.score, 4),
                "evidence": dict(moment.evidence),
                "taken": moment_id in taken,
                "clip_id": taken.get(moment_id),
                "why_not": passed.reason if passed is not None else None,
            }

    def _write_lists(self) -> None:
        """Write what has changed since it was last written."""
        clips = sorted(self._clips.values(), key=lambda row: (row["session_id"], row["start_s"]))
        listed = orjson.dumps(clips, option=orjson.OPT_INDENT_2)
        if self._changed("clips.json", listed):
            page = render_clips_page([_card(row) for row in clips])
            write_whole(self._out / "index.html", page.encode())
            write_whole(self._out / "clips.json", listed)
        moments = sorted(
            self._moments.values(), key=lambda row: (row["session_id"], row["peak_s"], row["kind"])
        )
        lines = b"".join(orjson.dumps(row) + b"\n" for row in moments)
        if self._changed("moments.jsonl", lines):
            write_whole(self._out / "moments.jsonl", lines)

    def _changed(self, name: str, content: bytes) -> bool:
        digest = hashlib.sha256(content).digest()
        changed = self._written.get(name) != digest
        self._written[name] = digest
        return changed


def clip_row(session: SessionOutcome, clip: ClipOutcome, files: Mapping[str, str]) -> Row:
    """Return the entry of `clips.json` for a clip that has been cut."""
    assert clip.planned is not None
    assert clip.cut is not None
    notes = sorted({note for render in clip.renders.values() for note in render.notes})
    if clip.cut.muted_s > 0:
        notes.append(f"{span_text(clip.cut.muted_s)} of its sound are muted by the platform")
    started = session.started
    is_vod = started is not None and started.kind != "live"
    zero_s = started.vod_start_s if started is not None else 0.0
    failures = {
        layout: failure.detail or failure.reason for layout, failure in clip.render_failures.items()
    }
    return {
        "id": clip.clip_id,
        "session_id": session.session_id,
        "start_s": round(clip.cut.start_s, 3),
        "peak_s": round(clip.cut.peak_s, 3),
        "end_s": round(clip.cut.end_s, 3),
        "vod_start_s": round(zero_s + clip.cut.start_s, 3) if is_vod else None,
        "vod_end_s": round(zero_s + clip.cut.end_s, 3) if is_vod else None,
        "score": round(clip.planned.score, 4),
        "kinds": session.kinds_of(clip.planned),
        "evidence": [dict(each) for each in session.evidence_of(clip.planned)],
        "title": clip.cut.title,
        "gap_s": round(clip.cut.gap_s, 3),
        "muted_s": round(clip.cut.muted_s, 3),
        "files": dict(files),
        "notes": notes,
        "failures": failures,
        "twitch_url": clip.twitch_url,
    }


def _card(row: Row) -> ClipCard:
    return ClipCard(
        title=row["title"],
        start_s=row["start_s"] if row.get("vod_start_s") is None else row["vod_start_s"],
        end_s=row["end_s"] if row.get("vod_end_s") is None else row["vod_end_s"],
        score=row["score"],
        kinds=tuple(row["kinds"]),
        evidence=tuple(row["evidence"]),
        gap_s=row["gap_s"],
        files=row["files"],
        notes=tuple(row["notes"]),
        twitch_url=row.get("twitch_url") or "",
    )


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file's content at once: a reader sees the old or the new, never a part.

    Raises:
        StorageFull: no space is left; what was there before is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFull(f"no space is left for {path}; free some and run again") from error
        raise


def _by_id(rows: list[Row]) -> dict[str, Row]:
    return {row["id"]: row for row in rows}


def _read_json(path: Path) -> list[Row]:
    return list(orjson.loads(path.read_bytes())) if path.is_file() else []


def _read_lines(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    return [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
