"""The settings among which leaving one video out may choose; few, and the same for every game."""

from __future__ import annotations

from detectors.settings import ChatRateSettings, ChatSpikeSettings
from ops.scoring.choose import Grid
from store.chat_score import ChatScoreSettings


def offline_grid() -> Grid[ChatScoreSettings]:
    """Return the grid of the whole-chat ranking: 180 places."""
    axes = {
        "delay_s": (15.0, 20.0, 25.0, 30.0, 35.0),
        "width_s": (8.0, 12.0, 16.0),
        "before_s": (5.0, 10.0, 15.0),
        "before_weight": (0.0, 0.3, 0.6, 0.9),
    }
    return Grid(axes, ChatScoreSettings)


def causal_grid() -> Grid[ChatSpikeSettings]:
    """Return the grid of the chat detector: 27 places."""
    axes = {
        "stretch_s": (10.0, 15.0, 20.0),
        "before_s": (10.0, 15.0, 20.0),
        "surge_min": (1.5, 2.0, 2.5),
    }
    return Grid(axes, _spike_settings)


def _spike_settings(*, stretch_s: float, before_s: float, surge_min: float) -> ChatSpikeSettings:
    rate = ChatRateSettings(stretch_s=int(stretch_s))
    return ChatSpikeSettings(rate=rate, before_s=before_s, surge_min=surge_min)
