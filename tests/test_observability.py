"""Alerts and dashboards ask for numbers that are counted, and ring when they should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ops.metrics import METRICS
from ops.roles import ROLES
from tests.paths import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "clipthat.json"
DECLARED = {metric.name: metric for metric in METRICS}
TARGET_LABELS = {"job", "service", "instance"}
"""What Prometheus adds to everything that it scrapes."""
OTHERS = {"up": {"job"}, "ALERTS": {"alertname", "alertstate"}}
"""Numbers that Prometheus makes itself."""

_NUMBER = re.compile(r"\b(clipthat_\w+|up|ALERTS)\b(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"by \(([^)]*)\)")


def load(name: str) -> Any:
    return yaml.safe_load((PROMETHEUS / name).read_text())


def alerts() -> Iterator[dict[str, Any]]:
    for group in load("alerts.yml")["groups"]:
        yield from group["rules"]


def questions() -> Iterator[tuple[str, str]]:
    """Yield (who asks, expression)."""
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def labels_of(number: str) -> set[str]:
    """Return the labels of a number; KeyError when nobody counts it."""
    if number in OTHERS:
        return OTHERS[number]
    metric = DECLARED.get(number) or DECLARED[number.removesuffix("_bucket")]
    assert (metric.kind == "histogram") == number.endswith("_bucket"), number
    return set(metric.labels) | ({"le"} if metric.kind == "histogram" else set())


@pytest.mark.parametrize(("who", "expression"), list(questions()))
def test_what_is_asked_for_is_counted_with_these_labels(who: str, expression: str) -> None:
    known = set(TARGET_LABELS)
    numbers = _NUMBER.findall(expression)
    assert numbers
    for number, chosen in numbers:
        labels = labels_of(number)
        known |= labels
        assert set(re.findall(r"(\w+)\s*(?:=|!)", chosen)) <= labels
    for grouped in _GROUPED.findall(expression):
        assert {label.strip() for label in grouped.split(",")} <= known


@pytest.mark.parametrize("alert", list(alerts()), ids=lambda alert: str(alert["alert"]))
def test_every_alert_says_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "runbook"}
    assert all(text.endswith(".") for text in alert["annotations"].values())


def test_every_process_is_asked() -> None:
    [job] = load("prometheus.yml")["scrape_configs"]
    [names] = [each["names"] for each in job["dns_sd_configs"]]
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    ours = {name for name, each in services.items() if "run" in each.get("command", [])}
    assert set(names) == ours
    assert set(ROLES) <= ours


def test_the_dashboard_asks_the_source_that_is_provisioned() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    [source] = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    asked = {panel["datasource"]["uid"] for panel in json.loads(DASHBOARD.read_text())["panels"]}
    assert asked == {source["uid"]}
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    [provider] = yaml.safe_load((folder / "dashboards" / "clipthat.yml").read_text())["providers"]
    mounts = [mount.split(":") for mount in services["grafana"]["volumes"]]
    assert ["./deploy/grafana/dashboards", provider["options"]["path"], "ro"] in mounts


@pytest.mark.parametrize(
    "asked",
    [("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yml")],
    ids=lambda asked: asked[0],
)
def test_prometheus_takes_the_files_and_the_alerts_ring(asked: tuple[str, ...]) -> None:
    tool = shutil.which("promtool") or shutil.which(
        "promtool", path=REPOSITORY / ".tools" / "prometheus"
    )
    if tool is None:
        missing = "promtool (Debian's package prometheus) is not on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing}; .ci/run fetches it")
        pytest.skip(missing)
    done = subprocess.run(
        [tool, *asked], cwd=PROMETHEUS, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
