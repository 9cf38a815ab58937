"""What Twitch does to a broadcast, at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.doubles.twitch.playlists import Channel
from tests.ingest.twitch_world import World

FAULTS = ("ad", "reset", "death", "storm", "flap", "restart", "gql", "spurious", "preroll")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens at a time, and lasts."""

    kind: str
    at_s: float
    length_s: float

    def steps(self, world: World, channel: Channel) -> list[tuple[float, Callable[[], object]]]:
        """Return what to do when."""
        twitch, end_s = world.twitch, self.at_s + self.length_s

        def storm() -> None:
            twitch.storm_until_s = world.timer.now() + self.length_s

        def off() -> None:
            if channel.live:
                channel.go_offline()

        def on() -> None:
            if not channel.live:
                channel.come_back()

        def answer(status: int) -> Callable[[], object]:
            return lambda: setattr(twitch, "gql_status", status)

        def preroll(length_s: float) -> Callable[[], object]:
            return lambda: setattr(channel, "preroll_s", length_s)

        def again_and_again() -> None:
            channel.spurious.update(range(0, 2000, 7))

        known: dict[str, list[tuple[float, Callable[[], object]]]] = {
            "ad": [(self.at_s, lambda: channel.run_ad(self.length_s))],
            "reset": [(self.at_s, twitch.reset_sequence)],
            "death": [(self.at_s, twitch.kill_tokens)],
            "storm": [(self.at_s, storm)],
            "flap": [(self.at_s, off), (end_s, on)],
            "restart": [(self.at_s, off), (self.at_s + 0.5, on)],
            "gql": [(self.at_s, answer(503)), (end_s, answer(200))],
            "preroll": [(self.at_s, preroll(10.0)), (end_s, preroll(0.0))],
            "spurious": [(self.at_s, again_and_again)],
        }
        return known[self.kind]
