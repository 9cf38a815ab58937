"""Finished outputs of random cuts are exact; `bench.boundaries` asks the same of 200."""

from __future__ import annotations

from pathlib import Path

from tests.clipper.finished import random_cuts


async def test_finished_outputs_of_random_cuts_are_exact(tmp_path: Path) -> None:
    seen = await random_cuts(12, seed=7, folder=tmp_path)
    assert len(seen) == 12
    assert [each for each in seen if not each.exact] == []
