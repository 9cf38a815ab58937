"""Builds fake-gcs-server once, from its sources: `python3 -m tests.services.gcs_build`.

Law: knows the standard library only, so that it can run before anything is installed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
VERSION = "v1.47.4"
"""The last one that Go 1.19 builds, which is what Debian 12 has."""
FOLDER = REPOSITORY / ".tools" / "gcs" / VERSION
SERVER = FOLDER / "fake-gcs-server"
TRIES = 3
TRY_S = 600.0


def why_no_gcs() -> str:
    """Return why no fake-gcs-server can run here; empty when it can. Builds it at first."""
    if SERVER.exists():
        return ""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        return "Go is not on this machine"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return "" if SERVER.exists() else _build(go)


def _build(go: str) -> str:
    said = ""
    for _ in range(TRIES):
        try:
            built = subprocess.run(
                [go, "install", f"github.com/fsouza/fake-gcs-server@{VERSION}"],
                # Without C, so that Go is all that is needed.
                env={**os.environ, "GOBIN": str(FOLDER), "CGO_ENABLED": "0"},
                cwd=FOLDER,
                capture_output=True,
                text=True,
                timeout=TRY_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            said = f"it takes longer than {TRY_S:g} s"
            continue
        if built.returncode == 0:
            return ""
        said = built.stderr.strip()[-500:]
    return f"Go cannot build fake-gcs-server: {said}"


if __name__ == "__main__":
    sys.exit(why_no_gcs() or None)
