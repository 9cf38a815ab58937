from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from rich.console import Console

from detectors.settings import ChatSpikeSettings
from ops.score import score_folder
from ops.scoring.bootstrap import interval
from ops.scoring.choose import Grid, leave_one_out
from ops.scoring.grids import causal_grid, offline_grid
from ops.scoring.labelled import ScoreError, Span, as_spans, read_folder
from ops.scoring.methods import lagged_peak_picks, random_picks, spikes
from ops.scoring.metric import Pick, hit_span, precision
from ops.scoring.report import ScoreReport
from store.chat_score import ChatScoreSettings
from tests.paths import SHARED_DATA, needs_shared_data

STARTS = ((150, 400, 700, 1000, 1300), (200, 500, 800, 1100, 1350), (100, 450, 760, 1050, 1400))


def write_video(folder: Path, name: str, starts: tuple[int, ...], *, seed: int) -> None:
    """Write chat that answers each highlight 27 s after it began, for some 15 s."""
    random = Random(seed)
    rows = []
    for second in range(1600):
        answer = any(20 <= second - start < 35 for start in starts)
        for _ in range(random.randint(4, 7) if answer else int(random.random() < 0.3)):
            text = "POG" if answer else f"line {second}"
            user = f"u{random.randrange(400)}"
            rows.append({"t_s": second + random.random(), "user": user, "text": text})
    rows.sort(key=lambda row: row["t_s"])
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    labels = [{"start_s": start, "end_s": start + 15} for start in starts]
    (folder / f"{name}.labels.json").write_text(json.dumps(labels), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    for at, starts in enumerate(STARTS):
        write_video(folder, f"{'chess' if at else 'golf'}-{at}", starts, seed=at)
    (folder / "unlabelled.jsonl").write_text('{"t_s": 1, "user": "u", "text": "x"}\n')
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> ScoreReport:
    return score_folder(folder, seed=7)


def test_plain_highlights_are_found_by_every_method_but_chance(report: ScoreReport) -> None:
    assert (report.videos, report.spans) == (3, 15)
    for method in ("lagged peak", "offline", "causal", "offline, shipped", "causal, shipped"):
        assert report.row(method).precision[1].mean == 1.0, method
        assert report.row(method).precision[5].mean >= 0.8, method
        # Five highlights: of ten moments five at the most can be right.
        assert report.row(method).precision[10].mean <= 0.5, method
    chance = report.row("random").precision[5].mean
    covered = 5 * 26 / 1600
    assert chance == pytest.approx(covered, abs=0.05)


def test_the_offline_row_finds_all_five(report: ScoreReport) -> None:
    assert report.row("offline").precision[5].mean == 1.0
    assert report.row("offline").by_game == {"chess": (1.0, 1.0, 0.5), "golf": (1.0, 1.0, 0.5)}


def test_causal_hits_are_decided_after_the_highlight_began_and_chat_had_peaked(
    report: ScoreReport,
) -> None:
    row = report.row("causal")
    assert row.decided_after_span_start is not None
    assert row.decided_after_chat_peak is not None
    assert 20.0 < row.decided_after_span_start.mean_s < 60.0
    assert 0.0 < row.decided_after_chat_peak.mean_s <= ChatSpikeSettings().hold_s
    assert report.row("offline").decided_after_span_start is None


def test_the_same_seed_gives_the_same_report(folder: Path, report: ScoreReport) -> None:
    assert score_folder(folder, seed=7).as_json() == report.as_json()


def test_the_report_is_plain_json_and_prints(report: ScoreReport) -> None:
    told = json.loads(json.dumps(report.as_json()))
    assert told["metric"]["ks"] == [1, 5, 10]
    assert {row["method"] for row in told["rows"]} >= {"random", "lagged peak", "offline", "causal"}
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as captured:
        report.print(console)
    assert "lagged peak" in captured.get()
    assert "[span start − 10 s, span end]" in captured.get()


def test_one_video_alone_is_scored_with_the_defaults(tmp_path: Path) -> None:
    write_video(tmp_path, "golf-1", STARTS[0], seed=1)
    methods = [row.method for row in score_folder(tmp_path).rows]
    assert methods == ["random", "lagged peak", "offline, shipped", "causal, shipped"]


def test_an_unfit_folder_is_told_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="holds no labelled chat"):
        score_folder(tmp_path)
    write_video(tmp_path, "golf-1", STARTS[0], seed=1)
    (tmp_path / "golf-1.labels.json").write_text('[{"from": 3}]')
    with pytest.raises(ScoreError, match="not a list of start_s and end_s"):
        score_folder(tmp_path)


def test_chat_that_is_none_is_told_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\x00\x01 no chat\n" * 3)
    (tmp_path / "a.labels.json").write_text("[]")
    with pytest.raises(ScoreError):
        read_folder(tmp_path)


def test_a_start_hits_from_ten_seconds_before_the_span_to_its_end() -> None:
    spans = (Span(100.0, 115.0), Span(300.0, 302.0))
    assert hit_span(89.9, spans) is None
    assert hit_span(90.0, spans) == spans[0]
    assert hit_span(115.0, spans) == spans[0]
    assert hit_span(115.1, spans) is None
    assert hit_span(301.0, spans) == spans[1]


def test_precision_counts_the_strongest_k_over_k() -> None:
    spans = (Span(100.0, 115.0), Span(300.0, 310.0))
    picks = [Pick(500.0, 0.9), Pick(100.0, 0.8), Pick(300.0, 0.1)]
    assert precision(picks, spans) == (0.0, 2 / 5, 2 / 10)
    assert precision([], spans) == (0.0, 0.0, 0.0)


def test_picks_that_lie_too_close_are_refused() -> None:
    with pytest.raises(ValueError, match="closer than"):
        precision([Pick(100.0, 1.0), Pick(219.0, 0.5)], ())


def test_spans_are_kept_once_in_order_and_turned_round() -> None:
    assert as_spans([(30.0, 40.0), (10.0, 5.0), (30.0, 40.0)]) == (
        Span(5.0, 10.0),
        Span(30.0, 40.0),
    )


def test_random_picks_keep_apart_and_follow_the_seed() -> None:
    picks = random_picks(1900.0, np.random.default_rng(3))
    starts = sorted(pick.start_s for pick in picks)
    assert all(b - a >= 120.0 for a, b in itertools.pairwise(starts))
    assert random_picks(1900.0, np.random.default_rng(3)) == picks


def test_the_lagged_peak_is_the_highest_count_of_five_seconds_less_25(folder: Path) -> None:
    video = read_folder(folder)[0]
    best = lagged_peak_picks(video.windows)[0]
    lines = [window.lines for window in video.windows]
    counts = [sum(lines[at : at + 5]) for at in range(len(lines))]
    assert best.start_s == counts.index(max(counts)) - 25.0


def test_the_causal_row_is_what_the_detector_gives_out_second_by_second(folder: Path) -> None:
    windows = read_folder(folder)[0].windows
    whole = spikes(windows, ChatSpikeSettings())
    half = spikes(windows[:800], ChatSpikeSettings())
    assert [moment for moment in half if moment.decided_s < 800] == [
        moment for moment in whole if moment.decided_s < 800
    ]


def test_an_interval_holds_its_mean_and_is_reproducible() -> None:
    figures = np.array([0.2, 0.4, 0.4, 0.8, 1.0])
    first, again = interval(figures, 3), interval(figures, 3)
    assert first == again
    assert first.low < first.mean < first.high
    assert first.mean == pytest.approx(0.56)
    assert interval(np.full(4, 0.5), 1).low == 0.5
    assert interval(-figures, 3).above_zero == 0.0


def test_what_is_chosen_for_a_video_never_depends_on_that_video() -> None:
    grid = Grid({"a": (1.0, 2.0, 3.0), "b": (1.0, 2.0)}, lambda a, b: (a, b))
    figures = np.random.default_rng(0).random((6, 5, 3))
    chosen = leave_one_out(grid, figures)
    for video in range(5):
        changed = figures.copy()
        changed[:, video] = np.random.default_rng(9).random((6, 3)) * 100
        assert leave_one_out(grid, changed)[video] == chosen[video]


def test_a_lone_summit_loses_to_a_high_plain() -> None:
    grid = Grid({"a": tuple(range(7))}, lambda a: a)
    assert grid.best_place(np.array([0, 9, 0, 6, 6, 6, 0.0])) == (4,)


@pytest.fixture(scope="module")
def real() -> ScoreReport:
    return score_folder(SHARED_DATA / "chat")


@needs_shared_data
def test_on_real_chat_the_whole_view_beats_the_naive_rule_without_having_seen_the_video(
    real: ScoreReport,
) -> None:
    assert real.videos == 11
    offline, naive = real.row("offline"), real.row("lagged peak")
    for k in (5, 10):
        assert offline.precision[k].mean > naive.precision[k].mean
    assert real.row("causal").precision[5].mean > real.row("random").precision[5].mean + 0.2


@needs_shared_data
def test_the_shipped_settings_are_those_that_all_videos_choose(real: ScoreReport) -> None:
    offline, causal = offline_grid(), causal_grid()
    chosen = real.row("offline").settings_of_all
    assert chosen is not None
    assert offline.make(**chosen) == ChatScoreSettings()
    chosen = real.row("causal").settings_of_all
    assert chosen is not None
    assert causal.make(**chosen) == ChatSpikeSettings()
