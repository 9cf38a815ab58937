"""The short form of `make chaos`: a few deaths on the local bus, everything counted."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.run import Shape, run
from tests.chaos.stand import local
from tests.chaos.storm import StormSettings, storm
from tests.chaos.world import Clock

QUICK_LEASES = {
    "leases.ingest_s": 6.0,
    "leases.ingest_beat_s": 1.5,
    "leases.render_s": 8.0,
    "leases.render_beat_s": 2.0,
    "control.timeout_s": 1.5,
    "control.connect_timeout_s": 1.0,
}
STORM = StormSettings(
    kills=15,
    seed=3,
    every_s=(0.1, 0.8),
    down_s=(0.0, 0.5),
    media_s=62.0,
    timed=False,
)
CREW = {"control": 1, "ingest": 2, "detect": 2, "clip": 1, "render": 1}


def waiting_clock() -> Clock:
    """Return a stream's time that runs faster than real time and waits for who is slow."""
    return Clock(speed=4.0, step_max_s=6.0)


async def test_nothing_is_lost_or_doubled_whoever_dies(tmp_path: Path) -> None:
    shape = Shape(seed=STORM.seed, channels=2, crew=CREW, make_clock=waiting_clock)
    async with local(tmp_path, QUICK_LEASES) as stand:
        counts = await run(stand, shape, storm(STORM))
    assert [(count.name, count.found, count.which) for count in counts if not count.ok] == []
    found = {count.name: count.found for count in counts}
    assert found["SIGKILLs"] == STORM.kills
    assert found["media seconds missed (told gaps)"] == 0
    assert found["clips cut"] >= 2
    assert found["outputs decoded whole"] == found["renders queued"]
