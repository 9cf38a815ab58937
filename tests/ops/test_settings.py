"""Settings: flags over environment over file over defaults, and all of them documented."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ops.commands.settings import as_toml
from ops.errors import SettingsError
from ops.settings import documented, load_settings

NO_ENVIRONMENT: dict[str, str] = {}


def test_every_setting_is_documented() -> None:
    docs = documented()
    assert len(docs) > 40
    assert [doc.path for doc in docs if not doc.doc] == []


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "clipthat.toml"
    file.write_text("[supervisor]\ndrain_s = 5\ncalm_s = 5\nrestart_max_s = 5\n")
    environment = {"CLIPTHAT_SUPERVISOR__DRAIN_S": "6", "CLIPTHAT_SUPERVISOR__CALM_S": "6"}
    found = load_settings(flags={"supervisor.drain_s": "7"}, environment=environment, file=file)
    supervisor = found.settings.supervisor
    assert (supervisor.drain_s, supervisor.calm_s, supervisor.restart_max_s) == (7.0, 6.0, 5.0)
    assert supervisor.restart_first_s == 0.5
    assert found.origins["supervisor.drain_s"] == "flag"
    assert found.origins["supervisor.calm_s"] == "CLIPTHAT_SUPERVISOR__CALM_S"
    assert found.origins["supervisor.restart_max_s"] == str(file)


def test_a_list_in_the_environment_is_comma_separated() -> None:
    found = load_settings(
        environment={"CLIPTHAT_DETECTORS__SPOKEN_PHRASE__PHRASES": "view glass, clip that"}
    )
    assert found.settings.detectors.spoken_phrase.phrases == ("view glass", "clip that")


def test_channels_come_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "clipthat.toml"
    file.write_text('[[channels]]\nurl = "https://example.org/live.m3u8"\nname = "ann"\n')
    (channel,) = load_settings(environment=NO_ENVIRONMENT, file=file).settings.channels
    assert (channel.url, channel.name, channel.chat) == ("https://example.org/live.m3u8", "ann", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nonsense = 1\n", "nonsense"),
        ("[clipper]\nnonsense = 1\n", "clipper.nonsense"),
        ("[supervisor]\ndrain_s = 'soon'\n", "supervisor.drain_s"),
        ("[supervisor\n", "not valid TOML"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "clipthat.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=said):
        load_settings(environment=NO_ENVIRONMENT, file=file)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not there"):
        load_settings(environment=NO_ENVIRONMENT, file=tmp_path / "none.toml")


def test_the_printed_settings_are_a_settings_file(tmp_path: Path) -> None:
    printed = as_toml(load_settings(flags={"supervisor.drain_s": 4}, environment=NO_ENVIRONMENT))
    assert tomllib.loads(printed)["supervisor"] == {"drain_s": 4.0}
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line and line.startswith("# ") else line
        for line in printed.splitlines()
    )
    assert "restart_first_s = 0.5" in uncommented


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    loaded = load_settings(
        flags={"twitch.client_secret": "hush-hush", "twitch.client_id": "known"},
        environment={"CLIPTHAT_TWITCH__TOKEN_KEYS": "key-one,key-two"},
    )
    printed = as_toml(loaded)
    assert "hush-hush" not in printed
    assert "key-one" not in printed
    assert 'client_id = "known"' in printed
    assert loaded.settings.twitch.token_keys == ("key-one", "key-two")


def test_a_secret_that_does_not_fit_is_refused_unseen(tmp_path: Path) -> None:
    file = tmp_path / "clipthat.toml"
    file.write_text('[twitch]\nclient_secret = ["hush-hush"]\n')
    with pytest.raises(SettingsError) as refused:
        load_settings(file=file, environment={})
    assert "twitch.client_secret" in str(refused.value)
    assert "hush-hush" not in str(refused.value)
    assert refused.value.__cause__ is None
