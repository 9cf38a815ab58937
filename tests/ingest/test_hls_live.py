"""A live stream on good and bad days, in pretended time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from ingest.errors import SourceGone, SourceUnusable
from ingest.hls_live import HlsLive
from ingest.settings import IngestSettings
from ingest.source import Notice, Pulled, Resume, SourceEnd, SourceGap, SourceSegment
from ops.demo.live_stream import Asked, Reply, StreamShape
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.faulty_origin import (
    FaultyOrigin,
    Spoil,
    during,
    gone,
    playlists,
    rewritten,
    segment,
)
from tests.hls_media import fmp4_segments, ts_segments

URL = "http://origin.test/live.m3u8"
SETTINGS = IngestSettings()


class Run:
    """What a source yielded, and the world that it lived in."""

    def __init__(self, pulled: Sequence[Pulled], origin: FaultyOrigin) -> None:
        self.pulled = pulled
        self.origin = origin
        self.spans = [p for p in pulled if isinstance(p, SourceSegment | SourceGap)]
        self.stored = [p for p in pulled if isinstance(p, SourceSegment)]
        self.gaps = [p for p in pulled if isinstance(p, SourceGap)]
        self.notices = [p.reason for p in pulled if isinstance(p, Notice)]
        self.end = next((p for p in pulled if isinstance(p, SourceEnd)), None)

    def check_whole(self) -> None:
        """Spans follow each other without a hole under numbers of their own."""
        for before, after in pairwise(self.spans):
            assert after.media_s == pytest.approx(before.end_s, abs=0.75)
        numbers = [(span.epoch, span.seq) for span in self.spans]
        assert len(set(numbers)) == len(numbers)
        assert numbers == sorted(numbers)


async def watch(
    seconds: float,
    *spoilers: Spoil,
    shape: StreamShape | None = None,
    segments: Sequence[object] | None = None,
    resume: Resume | None = None,
    settings: IngestSettings = SETTINGS,
) -> Run:
    timer = FakeTimer()
    media = segments if segments is not None else ts_segments()
    origin = FaultyOrigin(media, timer, shape=shape, spoilers=spoilers)  # type: ignore[arg-type]
    source = HlsLive(URL, origin, settings, timer=timer, spread=lambda: 0.0)
    await source.describe()
    stop_s = timer.now() + seconds
    pulled: list[Pulled] = []
    async with contextlib.aclosing(source.pull(resume)) as pulls:
        async for one in pulls:
            pulled.append(one)
            if timer.now() >= stop_s or isinstance(one, SourceEnd):
                break
    return Run(pulled, origin)


async def test_a_quiet_hour_is_stored_without_a_gap() -> None:
    run = await watch(3600)
    run.check_whole()
    assert run.gaps == []
    assert run.notices == []
    total_s = sum(span.duration_s for span in run.stored)
    assert total_s == pytest.approx(3600 + 6, abs=4)
    assert run.stored[0].media_s == 0.0
    assert run.stored[0].container == "ts"
    ref = run.stored[0].source_ref
    assert ref is not None
    assert ref.uri == "http://origin.test/segments/0.ts"


async def test_the_loop_of_the_stream_is_a_discontinuity_with_timestamps_of_its_own() -> None:
    run = await watch(20)
    discs = [s.disc for s in run.stored]
    assert discs[:9] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert run.stored[3].pts_s == pytest.approx(run.stored[0].pts_s + 6, abs=0.01)
    assert run.stored[4].pts_s == pytest.approx(run.stored[0].pts_s, abs=0.01)


async def test_reloads_never_storm() -> None:
    run = await watch(60)
    times = [t for t, asked in run.origin.asked if asked.kind == "playlist"]
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= 1.0
    assert max(gaps) <= 2.2


async def test_an_origin_away_for_a_minute_leaves_a_gap_of_what_slid_out() -> None:
    run = await watch(180, during(30, 90, gone))
    run.check_whole()
    assert run.end is None
    assert "stalled" in run.notices
    [gap] = run.gaps
    assert gap.reason == "outage"
    lost_s = 60 - 8 * 2
    assert gap.duration_s == pytest.approx(lost_s, abs=12)


async def test_an_origin_that_stays_away_is_lost_after_ninety_seconds() -> None:
    run = await watch(600, during(30, 1e9, gone))
    run.check_whole()
    assert run.end == SourceEnd(reason="lost")
    assert run.origin.timer.now() - run.origin.began_s == pytest.approx(30 + 90, abs=12)


@pytest.mark.parametrize(
    "spoil",
    [
        playlists(status=500),
        playlists(status=404),
        playlists(body=b"<html>502 Bad Gateway</html>"),
        playlists(body=b""),
        playlists(body=b"#EXTM3U\n" + b"#EXTINF:2,\na.ts\n" * 2_000_000),
    ],
    ids=["500", "404", "html", "empty", "oversized"],
)
async def test_a_playlist_that_is_spoiled_for_a_while_costs_nothing(spoil: Spoil) -> None:
    run = await watch(60, during(20, 28, spoil))
    run.check_whole()
    assert run.gaps == []
    assert sum(s.duration_s for s in run.stored) == pytest.approx(60 + 6, abs=4)


async def test_a_truncated_segment_is_tried_again() -> None:
    first_two = iter([True, True])

    def cut(reply: Reply) -> Reply:
        return replace(reply, cut=100) if next(first_two, False) else reply

    run = await watch(30, segment(5, cut))
    assert run.gaps == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: replace(r, status=404), "missing"),
        (lambda r: replace(r, status=500), "missing"),
        (lambda r: replace(r, cut=10), "corrupt"),
        (lambda r: replace(r, body=r.body[:-100]), "corrupt"),
        (lambda r: replace(r, body=r.body[: 188 * 40]), "corrupt"),
        (lambda r: replace(r, body=b""), "corrupt"),
        (lambda r: replace(r, body=b"<Error>AccessDenied</Error>"), "corrupt"),
        (lambda r: replace(r, body=b"\xff\xf1" + bytes(500)), "corrupt"),
        (lambda r: replace(r, delay_s=60.0), "late"),
        (lambda r: None, "late"),
    ],
    ids=["404", "500", "cut", "odd", "short", "empty", "xml", "aac", "slow", "dropped"],
)
async def test_a_segment_that_never_comes_whole_is_a_gap(change: object, reason: str) -> None:
    run = await watch(40, segment(5, change))  # type: ignore[arg-type]
    run.check_whole()
    [gap] = run.gaps
    assert gap.reason == reason
    assert gap.seq == 5
    assert gap.duration_s == pytest.approx(2.0)
    assert gap.detail


async def test_a_missing_segment_is_tried_twice_and_no_more() -> None:
    run = await watch(40, segment(5, lambda r: replace(r, status=404)))
    asked = [a for _, a in run.origin.asked if a == Asked("segment", 5)]
    assert len(asked) == 2


async def test_a_sequence_that_begins_anew_is_a_new_epoch() -> None:
    def lower(text: str) -> str:
        head, _, rest = text.partition("#EXT-X-MEDIA-SEQUENCE:")
        number, _, tail = rest.partition("\n")
        return f"{head}#EXT-X-MEDIA-SEQUENCE:{int(number) - 10}\n{tail}"

    run = await watch(80, during(40, 1e9, rewritten(lower)))
    run.check_whole()
    assert {s.epoch for s in run.stored} == {0, 1}
    assert run.gaps == []
    assert sum(s.duration_s for s in run.stored) == pytest.approx(80 + 6, abs=4)


async def test_a_stale_edge_is_ignored() -> None:
    old: dict[str, bytes] = {}

    def stale(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        if asked.kind != "playlist":
            return reply
        if t_s < 20:
            old["body"] = reply.body
        return replace(reply, body=old["body"]) if 30 <= t_s < 36 else reply

    run = await watch(60, stale)
    run.check_whole()
    assert run.gaps == []
    assert {s.epoch for s in run.stored} == {0}


async def test_a_stall_is_told_and_the_variants_are_read_again() -> None:
    frozen: dict[str, bytes] = {}

    def freeze(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        if asked.kind != "playlist" or not 20 <= t_s < 60:
            return reply
        return replace(reply, body=frozen.setdefault("body", reply.body))

    run = await watch(100, freeze)
    run.check_whole()
    assert run.notices == ["stalled"]
    again = [t for t, a in run.origin.asked if a.kind == "multivariant"]
    assert 3 <= len(again) <= 6


async def test_ads_are_gaps_and_never_read() -> None:
    def with_ad(text: str) -> str:
        lines = []
        for line in text.splitlines():
            number = line.removeprefix("segments/").removesuffix(".ts")
            if number.isdigit() and 10 <= int(number) < 15:
                lines[-1] = "#EXTINF:2.000,Amazon|2474283100494"
            lines.append(line)
        return "\n".join(lines)

    run = await watch(60, rewritten(with_ad))
    run.check_whole()
    assert [(g.seq, g.reason) for g in run.gaps] == [(n, "ad") for n in range(10, 15)]
    asked = {a.number for _, a in run.origin.asked if a.kind == "segment"}
    assert asked.isdisjoint(range(10, 15))


async def test_a_reader_that_falls_behind_goes_on_at_the_edge() -> None:
    slow = during(30, 150, lambda a, r, t: replace(r, delay_s=5.9) if a.kind == "segment" else r)
    run = await watch(240, slow)
    run.check_whole()
    late = [gap for gap in run.gaps if "fell behind" in gap.detail]
    assert late
    total_s = sum(span.duration_s for span in run.spans)
    assert total_s == pytest.approx(240 + 6, abs=8)


async def test_without_dates_durations_are_added_up() -> None:
    run = await watch(
        40, segment(5, lambda r: replace(r, status=404)), shape=StreamShape(dates=False)
    )
    run.check_whole()
    assert run.stored[-1].pdt_s is None
    assert run.spans[-1].media_s == pytest.approx(2.0 * (len(run.spans) - 1), abs=0.05)


async def test_fragmented_mp4_comes_with_its_init_section() -> None:
    media = fmp4_segments()
    run = await watch(20, segments=media)
    assert run.gaps == []
    assert run.stored[0].container == "fmp4"
    assert run.stored[0].init == media[0].init
    ref = run.stored[0].source_ref
    assert ref is not None
    assert ref.init_uri == "http://origin.test/init.mp4"
    assert [s.disc for s in run.stored[:5]] == [0, 0, 0, 0, 1]


async def test_byte_ranges_are_read_as_ranges() -> None:
    media = ts_segments()
    run = await watch(20, shape=StreamShape(byte_ranges=True))
    assert run.gaps == []
    assert [s.body for s in run.stored[:4]] == [m.body for m in media]
    ref = run.stored[1].source_ref
    assert ref is not None
    assert (ref.offset, ref.length) == (len(media[0].body), len(media[1].body))


async def test_a_locked_stream_is_refused_with_its_method() -> None:
    lock = rewritten(
        lambda t: t.replace(
            "#EXT-X-VERSION:7", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"\n#EXT-X-VERSION:7'
        )
    )
    with pytest.raises(SourceUnusable, match="SAMPLE-AES"):
        await watch(20, lock)


async def test_no_stream_is_said_at_once() -> None:
    with pytest.raises(SourceGone):
        await watch(20, playlists(status=404))


async def test_sound_alone_is_told() -> None:
    def audio_only(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        if asked.kind != "multivariant":
            return reply
        text = b'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\nmedia.m3u8\n'
        return replace(reply, body=text)

    run = await watch(20, audio_only, segments=ts_segments(video=False))
    assert run.notices == ["audio_only"]
    assert run.gaps == []


async def test_an_end_mark_ends_it() -> None:
    run = await watch(60, during(20, 1e9, rewritten(lambda text: text + "#EXT-X-ENDLIST\n")))
    assert run.end == SourceEnd(reason="ended")


async def test_a_resumed_reader_goes_on_behind_its_last_segment() -> None:
    shape = StreamShape(listed_at_start=8)
    before = await watch(1, shape=shape)
    last = before.stored[3]
    resume = Resume(
        epoch=0,
        seq=last.seq,
        disc=last.disc,
        media_end_s=last.end_s,
        media_s=last.media_s,
        pts_s=last.pts_s,
        pdt_s=last.pdt_s,
        wall_start_s=last.pdt_s,
        age_s=8.0,
    )
    run = await watch(10, shape=shape, resume=resume)
    assert run.spans[0].seq == 4
    assert run.spans[0].media_s == pytest.approx(8.0, abs=0.05)
    assert run.stored[0].disc == 1
