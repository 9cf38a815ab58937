"""`make chaos`: kill storms and outages, and a table of what they have come to."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.checks import Count
from tests.chaos.run import folder_for, run_storm
from tests.chaos.stand import On, opener
from tests.chaos.storm import StormSettings


def main() -> int:
    """Run what is asked for; 1 when a count is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one each time")
    parser.add_argument("--on", action="append", choices=("local", "stores", "cluster"))
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--every", type=float, default=0.9, help="mean seconds between kills")
    parser.add_argument("--keep", type=Path, help="folder for logs and data; default: a temporary")
    asked = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    with tempfile.TemporaryDirectory(prefix="clipthat-chaos-") as name:
        base = asked.keep or Path(name)
        ok = True
        for on in asked.on or ("local", "cluster"):
            settings = StormSettings(
                kills=asked.kills, seed=seed, every_s=(asked.every * 0.2, asked.every * 1.8)
            )
            counts = asyncio.run(_storm(base, on, settings, asked.channels))
            ok = show(f"storm on {on}, {asked.kills} kills, seed {seed}", counts) and ok
    return 0 if ok else 1


async def _storm(base: Path, on: On, settings: StormSettings, channels: int) -> list[Count]:
    async with opener(on)(folder_for(base, f"storm-{on}"), {}) as stand:
        return await run_storm(stand, settings, channels=channels)


def show(title: str, counts: Sequence[Count]) -> bool:
    """Print a table; return whether everything is as it must be."""
    print(f"\n{title}")
    for count in counts:
        mark = "  " if not count.wanted else ("ok" if count.ok else "NO")
        number = f"{count.found:.1f}" if isinstance(count.found, float) else f"{count.found:d}"
        print(f"  {mark}  {count.name:<54} {number:>10}  {count.wanted}")
        for each in count.which:
            print(f"        {each}")
    return all(count.ok for count in counts)


if __name__ == "__main__":
    sys.exit(main())
