"""Which roles there are, what each needs, and who may share a folder."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.errors import OpsError
from ops.folder import held
from ops.logs import LogSettings, configure_logs
from ops.roles import ROLES, read_roles
from web.app import make_monitor_app
from web.health import Health, StageHealth
from web.settings import WebSettings


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Leave the process's logs as they were found: commands take them over."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--roles", "ingest", "https://example.org/a.m3u8"], "where the control role runs"),
        (["run", "--roles", "ingest"], "control.url"),
        (
            ["run", "--roles", "render", "--set", "control.url=http://control:8420"],
            "control.secret",
        ),
        (["render", "--once"], "control.url"),
        (["render"], "--once"),
    ],
)
def test_what_a_worker_lacks_is_named(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, [*arguments, "--set", f"data_dir={tmp_path}"])
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())


def test_each_line_of_the_log_tells_the_role() -> None:
    out = io.StringIO()
    configure_logs(LogSettings(style="json"), out, role="clip,render")
    logging.getLogger("somebody").warning("something")
    assert json.loads(out.getvalue())["role"] == "clip,render"


async def test_a_process_without_pages_tells_monitors_alone() -> None:
    stages = (StageHealth(name="clipper", ok=False, detail="the disk is full"),)
    app_of = make_monitor_app(
        WebSettings(), lambda: Health(ok=False, stages=stages), lambda: b"clipthat_up 1\n"
    )
    transport = httpx.ASGITransport(app_of)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        health = await client.get("/healthz")
        assert health.status_code == 503
        assert health.json()["stages"][0]["detail"] == "the disk is full"
        assert (await client.get("/metrics")).text == "clipthat_up 1\n"
        for path in ("/", "/api/sessions", "/control/v1/workers", "/api/openapi.json"):
            assert (await client.get(path)).status_code == 404
        strange = await client.get("/healthz", headers={"Host": "stranger.example"})
        assert strange.status_code == 421
