"""What a finished output is made of, and the name that follows from it.

Law: everything that shapes the output's bytes is in the spec, so one `render_id` is one output.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from bus.events import RenderQueued, stable_id
from render.settings import CaptionSettings, RenderSettings

GRAPH_VERSION = 1
"""Raised whenever the same spec begins to give another picture or sound."""

# These say how the work is run; the output does not depend on them.
_RUN_ONLY = frozenset(
    {
        "layouts",
        "concurrency",
        "threads",
        "attempts_max",
        "duration_max_s",
        "wall_base_s",
        "wall_per_media_s",
        "memory_max_mb",
        "output_max_mb",
        "nice",
        "work_dir",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderSpec:
    """One finished output: which media, in which layout, in which style."""

    tenant_id: str
    clip_id: str
    layout: str
    source_key: str
    in_s: float
    """First instant of the output, in the source cut's own timeline."""
    out_s: float
    """First instant that no longer belongs to it."""
    title: str
    words_key: str | None
    """Object with the words, None when none are known."""
    style: RenderSettings

    @property
    def duration_s(self) -> float:
        """Length of the output."""
        return self.out_s - self.in_s

    @property
    def captions(self) -> CaptionSettings | None:
        """The caption style, or None when this layout carries none."""
        wanted = self.style.captions.enabled and self.layout in self.style.captions.layouts
        return self.style.captions if wanted else None

    @property
    def render_id(self) -> str:
        """A name that follows from everything that shapes the output."""
        shaping = [
            (field.name, _plain(getattr(self.style, field.name)))
            for field in fields(self.style)
            if field.name not in _RUN_ONLY
        ]
        return stable_id(
            "render",
            GRAPH_VERSION,
            self.clip_id,
            self.layout,
            self.source_key,
            round(self.in_s * 1e6),
            round(self.out_s * 1e6),
            self.title,
            self.words_key,
            shaping,
        )

    @classmethod
    def of(cls, queued: RenderQueued, style: RenderSettings) -> RenderSpec:
        """Return the spec that a queued render asks for, in the given style."""
        return cls(
            tenant_id=queued.tenant_id,
            clip_id=queued.clip_id,
            layout=queued.layout,
            source_key=queued.source_key,
            in_s=queued.in_s,
            out_s=queued.out_s,
            title=queued.title,
            words_key=queued.words_key,
            style=style,
        )


def _plain(value: object) -> object:
    if isinstance(value, CaptionSettings):
        return sorted(asdict(value).items())
    return value
