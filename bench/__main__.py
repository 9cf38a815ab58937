"""Runs every measurement, or the named ones: `python -m bench [NAME ...]`."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench


def names() -> list[str]:
    """Return the measurements that there are: modules with a `main`."""
    return sorted(
        module.name for module in pkgutil.iter_modules(bench.__path__) if module.name[0] != "_"
    )


def main() -> int:
    """Run the measurements, one after another; 1 when one of them cannot run."""
    chosen = sys.argv[1:] or names()
    unknown = set(chosen) - set(names())
    if unknown:
        print(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(names())}")
        return 1
    for name in chosen:
        print(f"\n== {name}", flush=True)
        sys.argv[1:] = []
        importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
