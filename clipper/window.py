"""Where a clip begins and ends.

Law: pure. The end is found by walking along the media clock and asking only for what lies before
the present step, so a clip decided live and one decided at the end have the same window.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np

from clipper.port import Pick
from clipper.settings import WindowSettings
from clipper.timeline import HOP_S, Timeline

STEP_S = 0.25
"""Grid on which a live session's media time advances."""
_VOICED_PERCENT = 35.0
_PEAK_LEAD_S = 5.0
"""A clip keeps at least this much before its peak."""
_WORDS_NEAR_S = 20.0
"""Words this close before tell that words are known here; else voice counts."""
_RUN_MIN_S = 5.0
"""A stretch without gaps that is shorter than this is not worth moving a clip into."""
_WORTH_TELLING_S = 0.05
_START_GRID_S = 0.05


@dataclass(frozen=True, slots=True)
class Window:
    """A clip on the media clock."""

    start_s: float
    end_s: float


def end_range(pick: Pick, how: WindowSettings) -> tuple[float, float]:
    """Return the wished end and the latest one."""
    wished_s = max(
        moment.peak_s + how.after_s.get(moment.kind, how.after_default_s) for moment in pick.moments
    )
    # Near the session's beginning there is too little before the peak: the clip ends later.
    wished_s = max(wished_s, how.shortest_s + how.snap_s)
    latest_s = max(wished_s, pick.peak_s + how.after_max_s)
    return wished_s, min(latest_s, _wished_start(pick, how) + how.longest_s)


def earliest_end(pick: Pick, how: WindowSettings) -> float:
    """Return the first time at which the clip's end can be decided."""
    wished_s, latest_s = end_range(pick, how)
    return min(wished_s, latest_s) - how.snap_s


def find_end(pick: Pick, timeline: Timeline, now_s: float, how: WindowSettings) -> float | None:
    """Return the clip's end when it is decided at `now_s`, else None.

    The first pause in speech near the wished end after which the reaction is over; without a
    pause the end of the range; while the reaction goes on, later, up to the limit.
    """
    wished_s, latest_s = end_range(pick, how)
    wished_s = min(wished_s, latest_s)
    first_s = earliest_end(pick, how)
    usual = _usual(timeline, _wished_start(pick, how), how)
    step_s = np.ceil(first_s / STEP_S) * STEP_S
    while step_s <= now_s:
        if step_s >= latest_s:
            return float(latest_s)
        if _calm(timeline, float(step_s), usual, how):
            if is_pause(timeline, float(step_s) - how.pause_s, float(step_s)):
                return float(step_s) - how.pause_s / 3
            if step_s >= wished_s + how.snap_s:
                return float(step_s)
        step_s += STEP_S
    return None


def choose(
    pick: Pick, end_s: float, timeline: Timeline, session_end_s: float, how: WindowSettings
) -> Window:
    """Return the clip's window for an end that is decided.

    Args:
        end_s: from `find_end`, or the session's end.
        session_end_s: no clip reaches beyond it.
    """
    end_s = min(end_s, session_end_s)
    start_s = min(_wished_start(pick, how), end_s - how.ideal_s)
    floor_s = end_s - how.longest_s
    start_s = max(start_s, floor_s)
    start_s = _snap_start(timeline, start_s, max(floor_s, 0.0), how)
    window = Window(max(0.0, min(start_s, pick.peak_s)), end_s)
    return _lengthened(_beside_gaps(window, pick, timeline), timeline, session_end_s, how)


def _wished_start(pick: Pick, how: WindowSettings) -> float:
    wished = [
        moment.peak_s - how.before_s.get(moment.kind, how.before_default_s)
        for moment in pick.moments
    ]
    first_peak_s = min(moment.peak_s for moment in pick.moments)
    # A kind that looks far back because it knows little does not outvote those that know more.
    start_s = min(median(wished), first_peak_s - _PEAK_LEAD_S)
    earliest_s = pick.peak_s - max(how.longest_s - how.after_default_s, _PEAK_LEAD_S)
    return max(start_s, earliest_s)


def _usual(timeline: Timeline, before_s: float, how: WindowSettings) -> tuple[float, float] | None:
    """Return the usual loudness (dB) and chat rate (messages a second) before a clip."""
    loud = timeline.loudness_db(before_s - how.usual_s, before_s)
    chat = timeline.chat_rate(before_s - how.usual_s, before_s)
    if len(loud) * HOP_S < how.calm_s:
        return None
    # The upper part of ordinary sound: speech, not the silence between.
    return float(np.percentile(loud, 80)), float(chat.mean()) if len(chat) else 0.0


def _calm(
    timeline: Timeline, now_s: float, usual: tuple[float, float] | None, how: WindowSettings
) -> bool:
    if usual is None:
        return True
    loud = timeline.loudness_db(now_s - how.calm_s, now_s)
    chat = timeline.chat_rate(now_s - how.calm_s - 1.0, now_s)
    is_loud = len(loud) > 0 and float(np.percentile(loud, 80)) > usual[0] + how.loud_db
    is_busy = len(chat) > 0 and float(chat.mean()) > max(1.0, usual[1] * how.chat_factor)
    return not (is_loud or is_busy)


def is_pause(timeline: Timeline, start_s: float, end_s: float) -> bool:
    """Say whether nobody speaks between two times, as far as words or voice tell."""
    if timeline.words(start_s - _WORDS_NEAR_S, end_s):
        return not timeline.words(start_s, end_s)
    voice = timeline.voice_percent(start_s, end_s)
    return len(voice) > 0 and float(voice.max()) < _VOICED_PERCENT


def _snap_start(timeline: Timeline, wished_s: float, floor_s: float, how: WindowSettings) -> float:
    """Return the nearest time to the wished one at which a pause ends in speech."""
    steps = int(how.snap_s / _START_GRID_S)
    for distance in range(steps + 1):
        for sign in (-1, 1):
            start_s = wished_s + sign * distance * _START_GRID_S
            if start_s >= floor_s and is_pause(timeline, start_s - how.pause_s, start_s + HOP_S):
                return start_s
    return wished_s


def _stretches(timeline: Timeline, start_s: float, end_s: float) -> list[Window]:
    """Return the stretches of media without a gap that touch a span, in order."""
    stretches: list[Window] = []
    for piece in timeline.pieces(start_s, end_s):
        if piece.missing:
            continue
        last = stretches[-1] if stretches else None
        if last is not None and piece.media_s - last.end_s < _WORTH_TELLING_S:
            stretches[-1] = Window(last.start_s, max(last.end_s, piece.end_s))
        else:
            stretches.append(Window(piece.media_s, piece.end_s))
    return stretches


def _around(timeline: Timeline, window: Window, peak_s: float, wider_s: float) -> Window | None:
    """Return the gapless stretch that holds the peak, or the nearest one before it."""
    stretches = _stretches(timeline, window.start_s - wider_s, window.end_s + wider_s)
    before = [each for each in stretches if each.start_s <= peak_s]
    return before[-1] if before else (stretches[0] if stretches else None)


def _beside_gaps(window: Window, pick: Pick, timeline: Timeline) -> Window:
    stretch = _around(timeline, window, pick.peak_s, 0.0)
    if stretch is None:
        return window
    start_s, end_s = max(window.start_s, stretch.start_s), min(window.end_s, stretch.end_s)
    return Window(start_s, end_s) if end_s - start_s >= _RUN_MIN_S else window


def _lengthened(
    window: Window, timeline: Timeline, session_end_s: float, how: WindowSettings
) -> Window:
    """Give a window that is too short more media, before it first, never across a gap."""
    lack_s = how.shortest_s - (window.end_s - window.start_s)
    if lack_s <= 0:
        return window
    stretch = _around(timeline, window, (window.start_s + window.end_s) / 2, lack_s)
    if stretch is None:
        return window
    start_s = min(window.start_s, max(stretch.start_s, window.start_s - lack_s))
    lack_s = how.shortest_s - (window.end_s - start_s)
    end_s = max(window.end_s, min(stretch.end_s, session_end_s, window.end_s + max(0.0, lack_s)))
    return Window(start_s, end_s)
