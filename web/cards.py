"""A clip as a card: the one shape that the live page and the page in a folder share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from store.state.views import ClipView, RenderView
from web.words import all_evidence, failure_text, layout_text, twitch_failure_text


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipCard:
    """What a person sees of a clip."""

    title: str
    start_s: float
    """Media time; the clip goes on to `end_s`."""
    end_s: float
    score: float
    kinds: tuple[str, ...]
    evidence: tuple[Mapping[str, Any], ...]
    gap_s: float
    files: Mapping[str, str]
    """Addresses (relative or absolute) by name: `vertical`, `landscape`, `source`, `thumbnail`,
    `captions`; those that are not there yet are left out."""
    notes: tuple[str, ...] = ()
    id: str = ""
    problem: str = ""
    """Why there is no clip, or why an output is missing."""
    twitch_url: str = ""
    """Where the same moment is as a clip on Twitch."""
    twitch_problem: str = ""
    """Why it is not there."""
    progress: Mapping[str, int] = field(default_factory=dict)
    """Percent of each output that is still being made, by its name."""

    @property
    def length_s(self) -> float:
        """How long the clip is, in whole seconds of the clock that stands beside it."""
        return float(int(self.end_s) - int(self.start_s))

    @property
    def reasons(self) -> list[str]:
        """Why this was clipped, in plain words."""
        return all_evidence(self.evidence)

    @property
    def player(self) -> str | None:
        """The best thing to play: the finished vertical one, or the draft until it is there."""
        for name in ("vertical", "landscape", "source"):
            if name in self.files:
                return self.files[name]
        return None

    @property
    def is_draft(self) -> bool:
        """What plays is not the vertical clip."""
        return self.player is not None and "vertical" not in self.files

    @property
    def downloads(self) -> list[tuple[str, str, str]]:
        """Name, address and file name of each file that a person may take home."""
        suffixes = {"vertical": "mp4", "landscape": "mp4", "source": "mp4", "captions": "vtt"}
        stem = "".join(c if c.isalnum() else "-" for c in self.title.lower())[:60].strip("-")
        return [
            (name, self.files[name], f"{stem or 'clip'}-{name}.{suffix}")
            for name, suffix in suffixes.items()
            if name in self.files
        ]


def card_of(clip: ClipView, link: Callable[[str], str]) -> ClipCard:
    """Return a recorded clip's card; `link` makes an address of an object's key."""
    files: dict[str, str] = {}
    if clip.source_key:
        files["source"] = link(clip.source_key)
    notes: list[str] = []
    problems = []
    progress = {}
    if clip.status == "failed":
        problems.append(f"This could not be cut: {failure_text(clip.reason)}.")
    for render in clip.renders:
        name = layout_text(render.layout)
        if render.status == "finished":
            files.update(_files_of(render, name, link))
            notes += [note for note in render.notes if note not in notes]
        elif render.status == "failed":
            problems.append(f"No {name} output: {failure_text(render.reason)}.")
        else:
            progress[name or "output"] = render.percent
    return ClipCard(
        id=clip.id,
        title=clip.title,
        start_s=clip.start_s,
        end_s=clip.end_s,
        score=clip.score,
        kinds=tuple(clip.kinds),
        evidence=tuple(clip.evidence),
        gap_s=clip.gap_s,
        files=files,
        notes=tuple(notes),
        problem=" ".join(problems),
        progress=progress,
        twitch_url=clip.twitch_url if clip.twitch_url.startswith("https://") else "",
        twitch_problem=twitch_failure_text(clip.twitch_reason),
    )


def _files_of(render: RenderView, name: str, link: Callable[[str], str]) -> dict[str, str]:
    keys = {name: render.output_key}
    if name == "vertical":
        keys |= {"thumbnail": render.thumbnail_key, "captions": render.captions_key}
    return {name: link(key) for name, key in keys.items() if key}
