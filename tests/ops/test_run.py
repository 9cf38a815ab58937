"""The service refuses channels that it could not watch, before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli import app


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        (["https://example.org/a.m3u8", "https://example.org/a.m3u8"], "named twice"),
        (["rtmp://example.org/live"], "neither twitch.tv/NAME nor an http:// or https:// address"),
    ],
)
def test_a_channel_that_cannot_be_watched_is_refused(
    tmp_path: Path, urls: list[str], said: str
) -> None:
    folder = tmp_path / "data"
    done = CliRunner().invoke(app, ["run", *urls, "--set", f"data_dir={folder}"])
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())
    assert not folder.exists()


def test_help_names_channels_as_a_person_writes_them() -> None:
    assert "twitch.tv/NAME" in CliRunner().invoke(app, ["run", "--help"]).stdout
