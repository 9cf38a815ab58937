"""Where tests find real media and chat that are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(
    os.environ.get("CLIPTHAT_SHARED_DATA", REPOSITORY.parent / "shared" / "data")
).resolve()

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason="the folder of real media and chat is not on this machine"
)
