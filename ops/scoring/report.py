"""What scoring tells: one row for each method, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ops.scoring.bootstrap import Interval
from ops.scoring.metric import APART_S, EARLY_S, KS, MOMENTS_MAX


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after something the causal hits were decided, in seconds."""

    mean_s: float
    median_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One method on all videos."""

    method: str
    chosen: str
    """How its settings were come by."""
    precision: Mapping[int, Interval]
    """By k."""
    over_lagged_peak: Mapping[int, Interval]
    """By k: paired difference to the lagged peak; empty for the lagged peak itself."""
    by_game: Mapping[str, tuple[float, ...]]
    """Mean precision at each k of KS."""
    by_video: Mapping[str, tuple[float, ...]]
    settings_by_video: Mapping[str, Mapping[str, float]] | None = None
    """What was chosen without the video, for methods that choose."""
    settings_of_all: Mapping[str, float] | None = None
    """What all videos together choose: what the product ships."""
    decided_after_span_start: Delay | None = None
    decided_after_chat_peak: Delay | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreReport:
    """All rows of one run."""

    folder: str
    videos: int
    spans: int
    hours: float
    seed: int
    rows: tuple[Row, ...]

    def row(self, method: str) -> Row:
        """Return a method's row.

        Raises:
            KeyError: there is no such row.
        """
        for row in self.rows:
            if row.method == method:
                return row
        raise KeyError(method)

    def as_json(self) -> dict[str, object]:
        """Return the report as plain values, with the definition of its metric."""
        return {
            "folder": self.folder,
            "videos": self.videos,
            "spans": self.spans,
            "hours": round(self.hours, 3),
            "seed": self.seed,
            "metric": {
                "name": "start-precision",
                "ks": list(KS),
                "moments_max": MOMENTS_MAX,
                "apart_s": APART_S,
                "early_s": EARLY_S,
                "denominator": "k, mean over videos",
            },
            "rows": [_row_as_json(row) for row in self.rows],
        }

    def print(self, console: Console) -> None:
        """Print the table for a person."""
        console.print(self._table())
        for row in self.rows:
            after_start, after_peak = row.decided_after_span_start, row.decided_after_chat_peak
            if after_start is not None and after_peak is not None:
                console.print(
                    f"{row.method}: hits are decided {after_start.mean_s:.0f} s (median "
                    f"{after_start.median_s:.0f} s) after the highlight begins, "
                    f"{after_peak.mean_s:.0f} s (median {after_peak.median_s:.0f} s) "
                    "after the peak of chat."
                )
        console.print(
            f"A hit starts in [span start − {EARLY_S:.0f} s, span end]; at most {MOMENTS_MAX} "
            f"moments a video, {APART_S:.0f} s apart; hits / k, mean over videos. "
            "Below each figure: the middle 95 % of the bootstrap over videos.",
            markup=False,
        )

    def _table(self) -> Table:
        title = f"{self.videos} videos, {self.hours:.1f} h, {self.spans} highlights"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("method", no_wrap=True)
        for k in KS:
            table.add_column(f"P@{k}", no_wrap=True)
        for k in KS[1:]:
            table.add_column(f"P@{k} over\nlagged peak", no_wrap=True)
        for row in self.rows:
            table.add_row(
                f"{row.method}\n[dim]{row.chosen}[/]",
                *(_shown(row.precision[k]) for k in KS),
                *(_difference(row.over_lagged_peak.get(k)) for k in KS[1:]),
            )
        return table


def _shown(figure: Interval) -> str:
    return f"{figure.mean:.3f}\n{figure.low:.2f}–{figure.high:.2f}"


def _difference(figure: Interval | None) -> str:
    if figure is None:
        return "–"
    # Adding zero turns a rounded −0.0 into 0.0.
    low, high = (round(bound, 2) + 0.0 for bound in (figure.low, figure.high))
    return f"{figure.mean:+.3f}\n{low:+.2f}…{high:+.2f}"


def _row_as_json(row: Row) -> dict[str, object]:
    plain: dict[str, object] = {
        "method": row.method,
        "settings": row.chosen,
        "precision": {str(k): asdict(row.precision[k]) for k in KS},
        "over_lagged_peak": {str(k): asdict(value) for k, value in row.over_lagged_peak.items()},
        "by_game": {game: list(values) for game, values in row.by_game.items()},
        "by_video": {video: list(values) for video, values in row.by_video.items()},
    }
    if row.settings_by_video is not None:
        plain["settings_by_video"] = {
            video: dict(values) for video, values in row.settings_by_video.items()
        }
    if row.settings_of_all is not None:
        plain["settings_of_all"] = dict(row.settings_of_all)
    if row.decided_after_span_start is not None:
        plain["decided_after_span_start"] = asdict(row.decided_after_span_start)
    if row.decided_after_chat_peak is not None:
        plain["decided_after_chat_peak"] = asdict(row.decided_after_chat_peak)
    return plain
