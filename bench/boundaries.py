"""Measures how exact the boundaries of finished clips are.

Run: .venv/bin/python -m bench.boundaries [--cuts 200] [--seed 1]

A synthetic stream carries its picture number in every picture and beeps at each whole second (30
and 60 fps, B-frames, closed and open groups of two seconds, segments of two seconds). Random
windows are cut from its segments and finished as landscape outputs; every picture of every output
is read.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.clipper.finished import random_cuts


def main() -> None:
    """Print the figures and every cut that is not exact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(random_cuts(options.cuts, options.seed, Path(folder)))
    for each in seen:
        if not each.exact:
            print(f"not exact: {each}")
    print(f"cuts: {len(seen)}, exact: {sum(each.exact for each in seen)}")
    print(f"first picture off: {sum(each.first_off != 0 for each in seen)}")
    print(f"last picture off: {sum(each.last_off != 0 for each in seen)}")
    print(f"wrong, black or frozen pictures: {sum(each.wrong for each in seen)}")
    print(f"sound off: {1000 * max(each.sound_off_s for each in seen):.1f} ms at most")


if __name__ == "__main__":
    main()
