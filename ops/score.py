"""Measures the chat detectors on labelled chat, beside chance and a naive rule.

Law: every row is made in the same run, from the same windows, by the same metric. The rows
`offline` and `causal` take each video's settings from the other videos; the rows named
`shipped` use the defaults of the product, which all videos together have chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.settings import ChatSpikeSettings
from ops.scoring.bootstrap import interval
from ops.scoring.choose import Grid, leave_one_out
from ops.scoring.grids import causal_grid, offline_grid
from ops.scoring.labelled import LabelledVideo, read_folder
from ops.scoring.methods import causal_picks, lagged_peak_picks, offline_picks, random_picks
from ops.scoring.metric import KS, Pick, hit_span, precision
from ops.scoring.report import Delay, Row, ScoreReport
from store.chat_score import ChatScoreSettings, lay_out

RANDOM_DRAWS = 200
LAGGED_PEAK = "lagged peak"

Settings = TypeVar("Settings")
Chat = TypeVar("Chat")
Figures = NDArray[np.float64]
"""(videos, ks) precision."""


def score_folder(folder: Path, *, seed: int = 0) -> ScoreReport:
    """Score all labelled videos of a folder.

    Args:
        folder: `NAME.jsonl(.gz)` beside `NAME.labels.json`.
        seed: for the random row and the bootstrap.

    Raises:
        ScoreError: nothing is labelled there, or a file is not what it should be.
    """
    videos = read_folder(folder)
    windows = [video.windows for video in videos]
    chatters = [lay_out(seconds) for seconds in windows]
    table = _Rows(videos, seed)
    random = _random_figures(videos, seed)
    rows = [
        table.row("random", f"mean of {RANDOM_DRAWS}", random),
        table.row(LAGGED_PEAK, "5 s, −25 s", table.lagged_peak),
    ]
    if len(videos) > 1:
        rows.append(table.chosen_row("offline", offline_grid(), offline_picks, chatters))
        rows.append(table.chosen_row("causal", causal_grid(), causal_picks, windows))
    offline = [offline_picks(chatter, ChatScoreSettings()) for chatter in chatters]
    causal = [causal_picks(seconds, ChatSpikeSettings()) for seconds in windows]
    rows.append(table.picked_row("offline, shipped", "defaults", offline))
    rows.append(table.picked_row("causal, shipped", "defaults", causal))
    return ScoreReport(
        folder=str(folder),
        videos=len(videos),
        spans=sum(len(video.spans) for video in videos),
        hours=sum(video.length_s for video in videos) / 3600.0,
        seed=seed,
        rows=tuple(rows),
    )


class _Rows:
    """Makes rows that are compared with the same lagged peak by the same draws."""

    def __init__(self, videos: Sequence[LabelledVideo], seed: int) -> None:
        self._videos = videos
        self._seed = seed
        self.lagged_peak = _figures(videos, [lagged_peak_picks(video.windows) for video in videos])

    def chosen_row(
        self,
        method: str,
        grid: Grid[Settings],
        name: Callable[[Chat, Settings], list[Pick]],
        chats: Sequence[Chat],
    ) -> Row:
        """Return the row of a method whose settings the other videos choose.

        Args:
            name: names the moments of one of `chats`, which stand for the videos.
        """
        choices = [grid.choice(place) for place in grid.places]
        picks = [[name(chat, choice.settings) for chat in chats] for choice in choices]
        figures = np.array([_figures(self._videos, row) for row in picks])
        at = [grid.places.index(place) for place in leave_one_out(grid, figures)]
        chosen = {
            video.name: dict(zip(grid.names, choices[place].values, strict=True))
            for video, place in zip(self._videos, at, strict=True)
        }
        taken = [picks[place][video] for video, place in enumerate(at)]
        of_all = grid.choice(grid.best_place(figures.sum(axis=2).mean(axis=1)))
        return replace(
            self.picked_row(method, "leave one out", taken),
            settings_by_video=chosen,
            settings_of_all=dict(zip(grid.names, of_all.values, strict=True)),
        )

    def picked_row(
        self,
        method: str,
        chosen: str,
        picks: Sequence[Sequence[Pick]],
    ) -> Row:
        """Return the row of these picks, one list for each video."""
        after_start, after_peak = _decision_delays(self._videos, picks)
        return replace(
            self.row(method, chosen, _figures(self._videos, picks)),
            decided_after_span_start=_delay(after_start),
            decided_after_chat_peak=_delay(after_peak),
        )

    def row(self, method: str, chosen: str, figures: Figures) -> Row:
        """Return the row of these figures."""
        names = [video.name for video in self._videos]
        difference = figures - self.lagged_peak
        return Row(
            method=method,
            chosen=chosen,
            precision={k: interval(figures[:, at], self._seed) for at, k in enumerate(KS)},
            over_lagged_peak={}
            if method == LAGGED_PEAK
            else {k: interval(difference[:, at], self._seed) for at, k in enumerate(KS)},
            by_game=self._by_game(figures),
            by_video={name: _plain(values) for name, values in zip(names, figures, strict=True)},
        )

    def _by_game(self, figures: Figures) -> dict[str, tuple[float, ...]]:
        games = np.array([video.game for video in self._videos])
        return {str(game): _plain(figures[games == game].mean(axis=0)) for game in np.unique(games)}


def _figures(videos: Sequence[LabelledVideo], picks: Sequence[Sequence[Pick]]) -> Figures:
    return np.array(
        [precision(named, video.spans) for video, named in zip(videos, picks, strict=True)]
    )


def _random_figures(videos: Sequence[LabelledVideo], seed: int) -> Figures:
    """Return the expected precision of chance: the mean over many draws."""
    rng = np.random.default_rng(seed)
    draws = [
        _figures(videos, [random_picks(video.length_s, rng) for video in videos])
        for _ in range(RANDOM_DRAWS)
    ]
    mean: Figures = np.mean(draws, axis=0)
    return mean


def _decision_delays(
    videos: Sequence[LabelledVideo], picks: Sequence[Sequence[Pick]]
) -> tuple[list[float], list[float]]:
    """Return the delays of all causal hits: after the span's start, after the chat's peak."""
    after_start: list[float] = []
    after_peak: list[float] = []
    for video, named in zip(videos, picks, strict=True):
        for pick in named:
            span = hit_span(pick.start_s, video.spans)
            if span is None or pick.decided_s is None or pick.chat_peak_s is None:
                continue
            after_start.append(pick.decided_s - span.start_s)
            after_peak.append(pick.decided_s - pick.chat_peak_s)
    return after_start, after_peak


def _delay(delays_s: Sequence[float]) -> Delay | None:
    if not delays_s:
        return None
    return Delay(float(np.mean(delays_s)), float(np.median(delays_s)))


def _plain(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
