"""What was learned live is learned again from the recording, by the same code."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from bus.codec import decode, encode
from bus.events import Event, MomentDetected, ReactionLearned, SessionStarted
from ops.bootstrap import detector_host, session_clipper
from ops.replay import replay
from ops.settings import Settings
from tests.detectors.chats import NAMES, started
from tests.detectors.reactions import answers, in_media_order, sound, times
from tests.detectors.world import ended


def recorded() -> tuple[SessionStarted, list[Event]]:
    """Return a session whose channel was known to answer late and answers later still."""
    random = Random(3)
    happened = times(14, random)
    length_s = 2.0 * (happened[-1] // 2 + 30)
    features = sound(happened, length_s, random)
    chat = answers(happened, length_s, random, lambda _: 16.0, silent=0.0)
    events = [*in_media_order(features, chat), ended(length_s, length_s)]
    opening = replace(started(), reaction_s=9.0)
    return opening, [replace(each, **NAMES, event_id="") for each in events]


def test_a_recording_gives_the_same_moments_and_the_same_delay() -> None:
    settings = Settings()
    start, events = recorded()
    host = detector_host(settings, start)
    live = [told for event in events for told in host.feed(event)]
    learned = [each for each in live if isinstance(each, ReactionLearned)]

    (again,) = replay(
        # Nothing is left of the first run but what the recording holds.
        [decode(encode(event)) for event in (start, *events)],
        lambda start: detector_host(settings, start),
        lambda start: session_clipper(settings, start),
    )

    assert again.moments == [each for each in live if isinstance(each, MomentDetected)]
    assert again.reaction == learned[-1]
    assert learned[0].samples == 0
    assert abs(learned[-1].delay_s - 16.0) <= 2.0
