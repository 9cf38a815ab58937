"""The rankings by name. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bus.events import SessionStarted
from clipper.best_n import BestNRanker
from clipper.errors import UnknownRanker
from clipper.live_ranker import LiveRanker
from clipper.port import Ranker
from clipper.settings import ClipperSettings
from store.chat_score import ChatScoreSettings, score_whole

Make = Callable[[ClipperSettings, SessionStarted], Ranker]


def _live(settings: ClipperSettings, started: SessionStarted) -> Ranker:
    return LiveRanker(settings.live, settings.merge, settings.window)


def _best_n(settings: ClipperSettings, started: SessionStarted) -> Ranker:
    wanted = started.clips_max or settings.best_n.clips
    curve = ChatScoreSettings(apart_s=settings.best_n.spread_s, moments_max=max(10, wanted))
    return BestNRanker(
        started,
        settings.best_n,
        settings.merge,
        score_chat=lambda windows: score_whole(windows, curve),
    )


RANKERS: Mapping[str, Make] = {"live": _live, "best_n": _best_n}


def make_ranker(name: str, settings: ClipperSettings, started: SessionStarted) -> Ranker:
    """Make the ranking of one session.

    Args:
        name: a key of RANKERS; empty: by what the session wants.

    Raises:
        UnknownRanker: there is none of that name; the message lists those that are.
    """
    chosen = name or settings.ranker or ("live" if started.clips_max is None else "best_n")
    if chosen not in RANKERS:
        raise UnknownRanker(f"no ranking is named {chosen!r}; there are: {', '.join(RANKERS)}")
    return RANKERS[chosen](settings, started)
