"""Every number that a room counts is declared, labelled as declared, and says what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.metrics import METRICS, PrometheusMeter
from tests.paths import REPOSITORY

ROOMS = ("bus", "store", "ingest", "detectors", "clipper", "render", "billing", "web", "ops")
KINDS = {"count": "counter", "gauge": "gauge", "observe": "histogram"}
DECLARED = {metric.name: metric for metric in METRICS}


def used() -> Iterator[tuple[Path, str, str, set[str]]]:
    """Yield (file, method, name, labels) of every call that counts something."""
    for room in ROOMS:
        for path in (REPOSITORY / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                name = node.args[0] if node.args else None
                if (
                    node.func.attr in KINDS
                    and isinstance(name, ast.Constant)
                    and str(name.value).startswith("clipthat_")
                ):
                    labels = {word.arg for word in node.keywords if word.arg} - {"by", "value"}
                    yield path, node.func.attr, str(name.value), labels


def test_what_is_counted_is_declared_with_the_same_labels() -> None:
    calls = list(used())
    assert len(calls) > 20
    for path, method, name, labels in calls:
        assert name in DECLARED, f"{path.name} counts {name}, which ops/metrics.py lacks"
        assert DECLARED[name].kind == KINDS[method], f"{path.name}: {name}"
        assert labels == set(DECLARED[name].labels), f"{path.name}: {name}"


def test_what_is_declared_is_counted_and_says_what_to_do() -> None:
    names = {name for _, _, name, _ in used()}
    for metric in METRICS:
        assert metric.name in names, f"nothing counts {metric.name}"
        assert metric.help.endswith(".")
        assert metric.runbook.endswith(".")


def test_numbers_reach_the_exposition() -> None:
    meter = PrometheusMeter()
    meter.count("clipthat_stage_restarts_total", stage="senses")
    meter.gauge("clipthat_senses_in_hand", 3)
    meter.observe("clipthat_segment_fetch_seconds", 0.2)
    text = meter.exposition().decode()
    assert 'clipthat_stage_restarts_total{stage="senses"} 1.0' in text
    assert "clipthat_senses_in_hand 3.0" in text
    assert 'clipthat_segment_fetch_seconds_bucket{le="0.25"} 1.0' in text


def test_an_undeclared_number_is_refused() -> None:
    with pytest.raises(KeyError):
        PrometheusMeter().count("clipthat_unheard_of_total")
