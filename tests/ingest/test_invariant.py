"""Whatever an origin does: stored and missing media together are the time that passed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.hls_live import HlsLive
from ingest.settings import IngestSettings
from ingest.source import SourceGap, SourceSegment
from ops.demo.live_stream import Asked, Reply
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.faulty_origin import FaultyOrigin, Spoil
from tests.hls_media import ts_segments

QUIET_S = 60.0
FAULTS = ("gone", "status", "html", "slow", "cut", "missing", "wrong", "renumber", "freeze", "ads")


@dataclass(frozen=True, slots=True)
class Fault:
    """A bad spell, in seconds from the stream's beginning."""

    kind: str
    start_s: float
    length_s: float
    amount: int

    def spoiler(self) -> Spoil:
        frozen: dict[str, bytes] = {}
        base: list[int] = []

        def spoil(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
            begun = t_s >= self.start_s
            over = t_s >= self.start_s + self.length_s
            if self.kind == "renumber" and begun and asked.kind == "playlist":
                return replace(reply, body=_renumbered(reply.body, base))
            if not begun or over:
                return reply
            return _spoiled(self.kind, asked, reply, self.amount, frozen)

        return spoil


def _spoiled(
    kind: str, asked: Asked, reply: Reply, amount: int, frozen: dict[str, bytes]
) -> Reply | None:
    of_playlist = asked.kind == "playlist"
    hit = asked.kind == "segment" and asked.number % (1 + amount % 3) == 0
    match kind:
        case "gone":
            return None
        case "status" if of_playlist:
            return replace(reply, status=(500, 502, 404, 403)[amount % 4])
        case "html" if of_playlist:
            return replace(reply, body=b"<html>busy</html>")
        case "freeze" if of_playlist:
            return replace(reply, body=frozen.setdefault("body", reply.body))
        case "ads" if of_playlist:
            return replace(reply, body=reply.body.replace(b",live", b",Amazon|1"))
        case "slow" if hit:
            return replace(reply, delay_s=float(amount))
        case "cut" if hit:
            return replace(reply, cut=100)
        case "missing" if hit:
            return replace(reply, status=404)
        case "wrong" if hit:
            return replace(reply, body=b"<Error/>")
    return reply


def _renumbered(body: bytes, base: list[int]) -> bytes:
    """Count from zero, the first playlist that comes by being the first."""
    head, _, rest = body.partition(b"#EXT-X-MEDIA-SEQUENCE:")
    number, _, tail = rest.partition(b"\n")
    if not number:
        return body
    if not base:
        base.append(int(number))
    return head + b"#EXT-X-MEDIA-SEQUENCE:%d\n" % max(0, int(number) - base[0]) + tail


faults = st.lists(
    st.builds(
        Fault,
        kind=st.sampled_from(FAULTS),
        start_s=st.floats(10, 200),
        length_s=st.floats(1, 60),
        amount=st.integers(1, 12),
    ),
    max_size=4,
)


async def pull_until(origin: FaultyOrigin, seconds: float) -> Sequence[SourceSegment | SourceGap]:
    timer = origin.timer
    source = HlsLive(
        "http://origin.test/live.m3u8",
        origin,
        IngestSettings(lost_after_s=10_000),
        timer=timer,
        spread=lambda: 0.0,
    )
    spans: list[SourceSegment | SourceGap] = []
    await source.describe()
    async with contextlib.aclosing(source.pull(None)) as pulls:
        async for pulled in pulls:
            if isinstance(pulled, SourceSegment | SourceGap):
                spans.append(pulled)
            if timer.now() - origin.began_s >= seconds:
                return spans
    raise AssertionError("the source ended")


@given(faults)
@settings(max_examples=25, deadline=None)
def test_stored_and_missing_media_are_the_time_that_passed(script: list[Fault]) -> None:
    last_s = max((fault.start_s + fault.length_s for fault in script), default=0.0)
    origin = FaultyOrigin(
        ts_segments(), FakeTimer(), spoilers=[fault.spoiler() for fault in script]
    )
    seconds = last_s + QUIET_S
    spans = asyncio.run(pull_until(origin, seconds))

    numbers = [(span.epoch, span.seq) for span in spans]
    assert numbers == sorted(set(numbers))
    for before, after in pairwise(spans):
        assert after.media_s == pytest.approx(before.end_s, abs=0.76)
    told_s = sum(span.duration_s for span in spans)
    assert told_s == pytest.approx(seconds, abs=2 * 2.0 + 2.0)
    # The newest segment is on time: nothing is left hanging after the last bad spell.
    assert any(isinstance(span, SourceSegment) for span in spans[-3:])
