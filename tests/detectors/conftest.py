"""Media that several tests share, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.detectors import media
from tests.paths import SHARED_DATA


@pytest.fixture(scope="session")
def voice() -> media.Voice:
    return media.Voice()


@pytest.fixture(scope="session")
def twitch_segments(tmp_path_factory: pytest.TempPathFactory) -> list[media.Cut]:
    """A real 1080p60 clip in transport stream segments."""
    clip = SHARED_DATA / "video" / "twitch_lol_1080p60.mp4"
    return media.cut_ts(clip, tmp_path_factory.mktemp("twitch"))


BEEPS_S = [0.7, 1.9, 3.95, 5.0, 7.93, 8.4]


@pytest.fixture(scope="session")
def beep_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds with beeps of 0.2 s, some of them across a border of two-second segments."""
    folder = tmp_path_factory.mktemp("beeps")
    return media.write_wav(folder / "beeps.wav", media.beeps(10.0, BEEPS_S))
