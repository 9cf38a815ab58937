"""Whatever Twitch does within a broadcast: stored and missing media are the time that passed."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.twitch_faults import FAULTS, Fault
from tests.ingest.twitch_world import Watched, world_of

QUIET_S = 120.0


async def watch(faults: list[Fault], first_seqs: list[int], seconds: float) -> tuple[Watched, int]:
    async with world_of() as world:
        channel = world.twitch.channel("ann")
        world.twitch.first_seqs = itertools.cycle(first_seqs)
        channel.go_live("b1")
        steps = [step for fault in faults for step in fault.steps(world, channel)]
        script = sorted(steps, key=lambda step: step[0])
        watched = await world.watch(world.live("ann"), seconds, *script)
        return watched, len(world.twitch.looked)


def check(watched: Watched, looks: int, seconds: float) -> None:
    watched.check_whole()
    assert watched.end is None
    told_s = sum(span.duration_s for span in watched.spans)
    # One segment at each end, and the newest one may still be on its way.
    assert told_s == pytest.approx(seconds + 6, abs=2 * 2.0 + 2.0)
    dates = [s.pdt_s for s in watched.stored if s.pdt_s is not None]
    places = [s.media_s for s in watched.stored]
    zero_s = dates[0] - places[0]
    assert [d - zero_s for d in dates] == pytest.approx(places, abs=0.76)
    assert looks <= 2 + seconds / 10


faults = st.lists(
    st.builds(
        Fault, kind=st.sampled_from(FAULTS), at_s=st.floats(5, 200), length_s=st.floats(2, 60)
    ),
    max_size=5,
)


@given(faults, st.lists(st.integers(0, 3000), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_stored_and_missing_media_are_the_time_that_passed(
    script: list[Fault], first_seqs: list[int]
) -> None:
    seconds = max((f.at_s + f.length_s for f in script), default=0.0) + QUIET_S
    watched, looks = asyncio.run(watch(script, first_seqs, seconds))
    check(watched, looks, seconds)
    # Nothing is left hanging after the last bad spell.
    assert watched.spans[-1] in watched.stored


async def test_an_hour_of_everything() -> None:
    script = [
        Fault(kind, 60.0 + 120.0 * place, 30.0)
        for place, kind in enumerate(itertools.islice(itertools.cycle(FAULTS), 28))
    ]
    watched, looks = await watch(script, [0, 5000, 40], 3600)
    check(watched, looks, 3600)
    assert watched.missing["ad"] > 60
    assert sum(s.duration_s for s in watched.stored) > 3000
