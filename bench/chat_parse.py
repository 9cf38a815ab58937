"""How fast a line of chat is parsed, side by side with other clients' parsers, in processor time.

Run `.venv/bin/python -m bench.chat_parse` after
`uv pip install --no-deps --target bench/.work/twitchio2 twitchio==2.10.0` and
`uv pip install --target bench/.work/clients twitchAPI==4.5.0`. All get the same lines of real text
with the tags that Twitch sends; ours is measured to what a room keeps, and to the finished line of
chat, names hashed and emotes found, which twitchio's parser leaves to its caller.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.chat_flood import message, posts
from ingest.chat.irc_said import said_in

TWITCHIO = Path(__file__).parent / ".work/twitchio2"
TWITCHAPI = Path(__file__).parent / ".work/clients"


def twitchio_parser(folder: Path) -> Callable[[str, str], Any]:
    """Return twitchio 2's parser of one message; only its file is loaded."""
    spec = importlib.util.spec_from_file_location("twitchio_parse", folder / "twitchio/parse.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parser: Callable[[str, str], Any] = module.parser
    return parser


def twitchapi_parser(folder: Path) -> Callable[[str], Any]:
    """Return twitchAPI's parser of one message, of a client that has never connected."""
    # Behind everything else: its dependencies must not take the place of ours.
    sys.path.append(str(folder))
    chat = importlib.import_module("twitchAPI.chat").Chat
    client = object.__new__(chat)
    client._prefix, client._channel_command_prefix = "!", {}
    parser: Callable[[str], Any] = client._parse_irc_message
    return parser


def ours(line: str) -> None:
    """Parse as far as a room needs."""
    assert said_in(line) is not None


def ours_whole(line: str) -> None:
    """Parse to the finished line of chat."""
    heard = said_in(line)
    assert heard is not None
    heard[1].line(1.0)


def cost_us(parse: Callable[[str], object], lines: list[str]) -> float:
    """Return the processor time of one line, in microseconds."""
    began_s = time.process_time()
    for line in lines:
        parse(line)
    return 1e6 * (time.process_time() - began_s) / len(lines)


def main() -> None:
    """Measure in turns and print the best of each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    lines = [
        message(number, "demo", user, text, 1_700_000_000.0)[:-2]
        for number, (user, text) in enumerate(posts())
    ]
    theirs = twitchio_parser(TWITCHIO)
    ways: dict[str, Callable[[str], object]] = {
        "twitchio 2": lambda line: theirs(line, "nick"),
        "twitchAPI 4": twitchapi_parser(TWITCHAPI),
        "ours, as a room keeps it": ours,
        "ours, the finished line": ours_whole,
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(given.rounds):
        for name, way in ways.items():
            best[name] = min(best[name], cost_us(way, lines))
    for name, each_us in best.items():
        ratios = " and ".join(
            f"{best[other] / each_us:.1f} x {other}" for other in ("twitchio 2", "twitchAPI 4")
        )
        print(f"{name}: {each_us:.2f} µs a line, {1e6 / each_us:,.0f} lines/s, {ratios}")


if __name__ == "__main__":
    main()
