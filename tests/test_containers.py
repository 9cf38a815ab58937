"""The container files name things that exist: settings, ports, commands, roles; and stay fenced."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from ops.cli import app
from ops.roles import ROLES, read_roles
from ops.settings import load_settings
from tests.paths import REPOSITORY
from web.settings import WebSettings

OURS = "clipthat:"
ROOTS = {"", "0", "root"}
INTERPOLATED = re.compile(r"\$\{(\w+)(?:(:?[-+])((?:[^{}]|\{[^{}]*\})*))?\}")

Service = dict[str, Any]


def expanded(text: str, told: dict[str, str]) -> str:
    """Return a text as Compose reads it, with these variables."""

    def value(found: re.Match[str]) -> str:
        name, how, otherwise = found.groups()
        given = told.get(name)
        if how == "-":
            return expanded(otherwise, told) if given is None else given
        return given or expanded(otherwise or "", told)

    return INTERPOLATED.sub(value, text)


def read(told: dict[str, str]) -> dict[str, Any]:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(expanded(text, told))
    return loaded


def example() -> dict[str, str]:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


COMPOSE = read({})
CLUSTER = read(example())
SERVICES: dict[str, Service] = COMPOSE["services"]
OUR_SERVICES = {n: s for n, s in SERVICES.items() if s["image"].startswith(OURS)}
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
ROLE_SERVICES = {n: s for n, s in OUR_SERVICES.items() if n not in ONE_SHOT}

each_service = pytest.mark.parametrize("name", sorted(SERVICES))
each_role_service = pytest.mark.parametrize("name", sorted(ROLE_SERVICES))


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (REPOSITORY / "Dockerfile").read_text()


@each_service
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    image = SERVICES[name]["image"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    if name in OUR_SERVICES:
        assert image == f"{OURS}{project['version']}"
    else:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z]+)?$", image)


def test_images_are_built_from_pinned_images(dockerfile: str) -> None:
    named = re.findall(r"^(?:FROM|COPY --from=)\s*(\S+)", dockerfile, re.MULTILINE)
    elsewhere = [image for image in named if image != "build"]
    assert len(elsewhere) == 3
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in elsewhere)


@each_service
def test_every_service_is_fenced(name: str) -> None:
    service = SERVICES[name]
    assert str(service["user"]).split(":")[0] not in ROOTS
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True or name in {"kafka", "whisper"}
    assert "privileged" not in service
    assert int(str(service["stop_grace_period"]).removesuffix("s")) >= 20
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


@each_service
def test_every_service_says_how_it_is(name: str, dockerfile: str) -> None:
    check = SERVICES[name].get("healthcheck")
    if name in ONE_SHOT:
        assert check == {"disable": True}
    elif name in OUR_SERVICES:
        assert check is None, "the image's own is for every role"
        assert "\nHEALTHCHECK " in dockerfile
    else:
        assert set(check) >= {"test", "interval", "timeout", "retries", "start_period"}
        assert check["test"][0] == "CMD"


def test_our_user_is_the_image_s(dockerfile: str) -> None:
    made = re.search(r"useradd --uid (\d+)", dockerfile)
    assert made is not None
    assert {service["user"] for service in OUR_SERVICES.values()} == {f"{made[1]}:{made[1]}"}
    # What a new volume belongs to follows from whose /data is in the image.
    assert "install -d -o clipthat -g clipthat /data" in dockerfile


@each_role_service
def test_variables_are_settings(name: str, dockerfile: str) -> None:
    fixed = dict(re.findall(r"(CLIPTHAT_\w+)=(\S+)", dockerfile))
    assert len(fixed) >= 2
    for compose in (COMPOSE, CLUSTER):
        told = {key: str(value) for key, value in compose["services"][name]["environment"].items()}
        settings = load_settings(environment=fixed | told, file=None).settings
        assert str(settings.data_dir) == "/data"
        assert settings.web.host == "0.0.0.0"


@each_role_service
def test_commands_are_commands(name: str) -> None:
    command, *arguments = (part for part in SERVICES[name]["command"] if part)
    group = typer.main.get_command(app)
    found = group.commands[command]  # type: ignore[attr-defined]
    context = found.make_context(command, arguments)
    roles = context.params["roles"]
    assert roles is None if name == "clipthat" else str(read_roles(roles)) in name


def test_the_port_is_the_one_that_is_served(dockerfile: str) -> None:
    port = WebSettings().port
    for name in ("clipthat", "control"):
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}" in dockerfile
    assert f"127.0.0.1:{port}/healthz" in dockerfile


def test_a_plain_start_is_one_process_and_a_cluster_has_every_role() -> None:
    def running(compose: dict[str, Any], profile: str) -> dict[str, int]:
        return {
            name: int(service.get("scale", 1))
            for name, service in compose["services"].items()
            if profile in service.get("profiles", [profile])
        }

    assert running(COMPOSE, "") == {"clipthat": 1}
    cluster = running(CLUSTER, example()["COMPOSE_PROFILES"])
    assert cluster["clipthat"] == 0
    assert {role: cluster[role] for role in ROLES} == {
        "control": 1,
        "ingest": 2,
        "detect": 2,
        "clip": 1,
        "render": 1,
    }
    assert {"kafka", "postgres", "objects"} <= set(cluster)
    assert {"vllm", "whisper", "render-gpu"} <= set(running(COMPOSE, "gpu"))
    assert {"prometheus", "grafana"} <= set(running(COMPOSE, "observability"))


def test_workers_reach_neither_the_database_nor_its_password() -> None:
    near = {name for name, each in SERVICES.items() if "control" in each.get("networks", [])}
    assert near == {"control", "postgres"}
    assert SERVICES["postgres"]["networks"] == ["control"]
    secret = {**example(), "DATABASE_PASSWORD": "hidden-from-workers"}
    for name, service in read(secret)["services"].items():
        knows = "hidden-from-workers" in str(service)
        assert knows == (name in {"control", "postgres"}), name
    assert COMPOSE["networks"]["control"] == COMPOSE["networks"]["data"] == {"internal": True}
    for name in ("detect", "render"):
        assert SERVICES[name]["networks"] == ["data"], "opens media of strangers, has no way out"


@each_service
def test_everything_that_is_named_is_there(name: str) -> None:
    service = SERVICES[name]
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("./"):
            assert (REPOSITORY / source).is_dir()
            assert mount.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]
    assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
    for other, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how["condition"] == wanted
        together = set(service["profiles"]) <= set(SERVICES[other]["profiles"])
        assert together or how.get("required") is False, "Compose refuses what is not enabled"


@pytest.mark.parametrize("profiles", ["", "cluster", "gpu", "observability", "*"])
def test_compose_takes_the_file(profiles: str) -> None:
    compose = [shutil.which("docker") or "docker", "compose"]
    try:
        subprocess.run([*compose, "version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("Docker's compose plugin is not on this machine")
    done = subprocess.run(
        [*compose, "--env-file", ".env.example", "config", "--quiet"],
        cwd=REPOSITORY,
        env={**os.environ, "COMPOSE_PROFILES": profiles},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def variables() -> Iterator[str]:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    yield from re.findall(r"\$\{(\w+)", text)


def test_the_example_tells_every_variable_and_has_no_secret() -> None:
    told = example()
    assert set(variables()) == set(told) - {"COMPOSE_PROFILES"}
    for name, value in told.items():
        if re.search("PASSWORD|SECRET", name):
            assert value in {"", "MAKE_ONE"}, name


def test_secrets_are_made_once(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    for name in (".env.example", "deploy/make-env.sh"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    make = [*shlex.split("sh deploy/make-env.sh")]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    made = (tmp_path / ".env").read_text()
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    secrets = re.findall(r"^\w+=([0-9a-f]{64})$", made, re.MULTILINE)
    assert len(set(secrets)) == list(example().values()).count("MAKE_ONE") == len(secrets) >= 5
    again = subprocess.run(make, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "already" in again.stderr
    assert (tmp_path / ".env").read_text() == made


def test_what_is_secret_stays_out_of_the_image() -> None:
    left_out = (REPOSITORY / ".dockerignore").read_text().split()
    assert {".env", ".git", "clipthat-data"} <= set(left_out)
