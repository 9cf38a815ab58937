"""The container files name things that exist: settings, the port, the command."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ops.cli import app
from ops.settings import load_settings
from tests.paths import REPOSITORY
from web.settings import WebSettings


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (REPOSITORY / "Dockerfile").read_text()


def test_variables_are_settings(compose: dict[str, Any], dockerfile: str) -> None:
    told = dict(compose["services"]["clipthat"]["environment"])
    told |= dict(re.findall(r"(CLIPTHAT_\w+)=(\S+)", dockerfile))
    assert len(told) >= 3
    assert str(load_settings(environment=told).settings.data_dir) == "/data"


def test_the_port_is_the_one_that_is_served(compose: dict[str, Any], dockerfile: str) -> None:
    port = WebSettings().port
    assert compose["services"]["clipthat"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}" in dockerfile
    assert f"127.0.0.1:{port}/healthz" in dockerfile


def test_the_container_runs_a_command_that_exists(compose: dict[str, Any]) -> None:
    command = compose["services"]["clipthat"]["command"]
    assert CliRunner().invoke(app, [command[0], "--help"]).exit_code == 0


def test_everything_that_is_named_is_there(compose: dict[str, Any]) -> None:
    for mount in compose["services"]["clipthat"]["volumes"]:
        assert mount.split(":")[0] in compose["volumes"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert compose["services"]["clipthat"]["image"] == f"clipthat:{project['version']}"
