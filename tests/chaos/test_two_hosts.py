"""The short form of `make two-hosts`: the wire between two hosts is cut and healed, twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.two_hosts import NO_HOSTS
from tests.chaos.wire import why_no_namespaces
from tests.paths import REPOSITORY
from tests.services.kafka_server import why_no_kafka

LIMIT_S = 1500
EARLY_BURST = 4
"""With this seed the stream is loud ten seconds after it begins."""


def _refuse(reason: str) -> None:
    """Skip; where CI=true, only what the machine itself forbids is a reason."""
    if os.environ.get("CI") == "true" and not reason.startswith("`ip "):
        pytest.fail(reason)
    pytest.skip(reason)


def test_a_wire_that_is_cut_and_healed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    if reason := why_no_namespaces() or why_no_kafka():
        _refuse(reason)
    command = [sys.executable, "-m", "tests.chaos.two_hosts", "--short"]
    folder = tmp_path / "hosts"
    ran = subprocess.run(
        [*command, "--seed", str(EARLY_BURST), "--keep", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if ran.returncode == NO_HOSTS:
        _refuse(ran.stderr.strip())
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-3000:]
    found = json.loads((folder / "counts.json").read_text())
    assert found["sessions"] == 1
    assert found["clips cut"] >= 1
    assert found["outputs decoded whole"] == found["renders queued"] >= 1
    assert found["late writers that control has refused"] >= 1
