"""No minute is charged that was not stored."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.minutes import MinuteMeter, chargeable_minutes
from bus.events import Event, MinuteWatched, SegmentMissing, SegmentStored


def ids(session_id: str = "s1") -> dict[str, Any]:
    return {"tenant_id": "acme", "channel_id": "ch", "session_id": session_id}


def stored(seq: int, media_s: float, duration_s: float, session_id: str = "s1") -> SegmentStored:
    return SegmentStored(
        **ids(session_id),
        epoch=0,
        seq=seq,
        disc=0,
        media_s=media_s,
        duration_s=duration_s,
        container="ts",
    )


def minute(number: int, session_id: str = "s1") -> MinuteWatched:
    return MinuteWatched(**ids(session_id), minute=number, media_s=number * 60.0)


def chargeable(events: list[Event], session_id: str = "s1") -> int:
    meter = MinuteMeter()
    for event in events:
        meter.feed(event)
    return meter.watched("acme", session_id).chargeable


segments = st.builds(
    stored,
    st.integers(0, 50),
    st.integers(0, 600_000).map(lambda ms: ms / 1000),
    st.integers(0, 30_000).map(lambda ms: ms / 1000),
)
minutes = st.builds(minute, st.integers(0, 20))


@given(st.lists(st.one_of(segments, minutes), max_size=60), st.randoms(use_true_random=False))
def test_never_more_than_was_stored_in_any_order(events: list[Event], random: Any) -> None:
    milliseconds = {
        ms
        for event in events
        if isinstance(event, SegmentStored)
        for ms in range(round(event.media_s * 1000), round(event.end_s * 1000))
    }
    claims = {event.minute for event in events if isinstance(event, MinuteWatched)}
    told = chargeable(events)
    assert told == min(len(claims), len(milliseconds) // 60_000)
    again = [*events, *events]
    random.shuffle(again)
    assert chargeable(again) == told


def test_an_hour_of_two_second_segments_is_sixty_minutes() -> None:
    events = [stored(n, n * 2.0, 2.0) for n in range(1800)]
    assert chargeable([*events, *(minute(n) for n in range(60))]) == 60


def test_two_meters_that_claim_more_than_there_is_are_harmless() -> None:
    assert chargeable([stored(0, 0, 61), *(minute(n) for n in range(5))]) == 1


def test_missing_media_is_not_charged() -> None:
    gap = SegmentMissing(**ids(), epoch=0, seq=1, media_s=0, duration_s=600, reason="ad")
    assert chargeable([gap, minute(0)]) == 0


def test_sessions_do_not_lend_each_other_minutes() -> None:
    events = [stored(0, 0, 120, "s1"), minute(0, "s2")]
    assert (chargeable(events, "s1"), chargeable(events, "s2")) == (0, 0)
    assert chargeable([], "never heard of") == 0


def test_chargeable_minutes_from_totals() -> None:
    assert chargeable_minutes(3, 179.999) == 2
    assert chargeable_minutes(3, 180.0) == 3
    assert chargeable_minutes(0, 600.0) == 0
