"""Videos whose chat is recorded and whose highlights people have marked.

Law: a folder holds `NAME.jsonl` or `NAME.jsonl.gz` (chat) beside `NAME.labels.json`, a list of
`{"start_s", "end_s"}`; chat without labels is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from bus.events import ChatWindow
from ingest.chat.errors import ChatFileError
from ops.errors import OpsError
from ops.scoring.windows import read_windows

_LABELS = ".labels.json"


class ScoreError(OpsError):
    """There is nothing to score in the folder, or a file of it is not what it should be."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A highlight, in seconds of the video."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """One video: its chat second by second, and its highlights in order."""

    name: str
    game: str
    windows: tuple[ChatWindow, ...]
    spans: tuple[Span, ...]

    @property
    def length_s(self) -> float:
        """End of the last second of chat."""
        last = self.windows[-1]
        return last.media_s + last.duration_s


def read_folder(folder: Path) -> list[LabelledVideo]:
    """Read all labelled videos of a folder, by name.

    Raises:
        ScoreError: no labelled chat is there, or labels are broken.
    """
    videos = []
    for labels in sorted(folder.glob(f"*{_LABELS}")):
        name = labels.name.removesuffix(_LABELS)
        chats = [folder / f"{name}{suffix}" for suffix in (".jsonl.gz", ".jsonl")]
        chat = next((path for path in chats if path.is_file()), None)
        if chat is None:
            continue
        try:
            windows = read_windows(chat, name)
        except ChatFileError as error:
            raise ScoreError(str(error)) from error
        if not windows:
            raise ScoreError(f"{chat} holds no chat")
        videos.append(LabelledVideo(name, name.split("-")[0], windows, read_spans(labels)))
    if not videos:
        raise ScoreError(f"{folder} holds no labelled chat: NAME.jsonl.gz beside NAME.labels.json")
    return videos


def read_spans(path: Path) -> tuple[Span, ...]:
    """Read the highlights of one video; see `as_spans`.

    Raises:
        ScoreError: the file is not a list of spans.
    """
    try:
        rows = orjson.loads(path.read_bytes())
        return as_spans([(float(row["start_s"]), float(row["end_s"])) for row in rows])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ScoreError(f"{path} is not a list of start_s and end_s: {error}") from error


def as_spans(pairs: Sequence[tuple[float, float]]) -> tuple[Span, ...]:
    """Return the spans in order, each once; one whose ends are swapped is turned round."""
    return tuple(sorted({Span(min(pair), max(pair)) for pair in pairs}))
