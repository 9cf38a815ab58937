"""Which roles there are, what each needs, and who may share a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.errors import OpsError
from ops.folder import held
from ops.roles import ROLES, read_roles


def test_roles_are_read_however_they_are_written() -> None:
    assert str(read_roles(" render, Control,render,")) == "control,render"
    assert list(read_roles(",".join(reversed(ROLES)))) == list(ROLES)


@pytest.mark.parametrize("text", ["", " , ", "contro", "control,cook"])
def test_what_is_no_role_is_told_all_that_are(text: str) -> None:
    with pytest.raises(OpsError) as told:
        read_roles(text)
    assert all(role in str(told.value) for role in ROLES)


@pytest.mark.parametrize(
    ("text", "has_database", "needs_control_url"),
    [
        ("control", True, False),
        ("control,ingest,render", True, False),
        ("ingest", False, True),
        ("render,detect", False, True),
        ("detect,clip", False, False),
    ],
)
def test_control_alone_has_the_database(
    text: str, has_database: bool, needs_control_url: bool
) -> None:
    roles = read_roles(text)
    assert (roles.has_database, roles.needs_control_url) == (has_database, needs_control_url)


def test_processes_with_roles_share_a_folder_and_one_that_does_all_does_not(
    tmp_path: Path,
) -> None:
    with (
        held(tmp_path, shared=True),
        held(tmp_path, shared=True),
        pytest.raises(OpsError, match="is at work"),
        held(tmp_path),
    ):
        pass
    with (
        held(tmp_path),
        pytest.raises(OpsError, match="does everything"),
        held(tmp_path, shared=True),
    ):
        pass


def test_an_unknown_role_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    done = CliRunner().invoke(app, ["run", "--roles", "cook", "--set", f"data_dir={folder}"])
    assert done.exit_code == 1
    assert "'cook'" in done.output
    assert "render (" in " ".join(done.output.split())
    assert not folder.exists()
