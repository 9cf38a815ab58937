"""One service as several processes: its clips, and what happens when one of them dies."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bus.events import (
    Event,
    RenderFinished,
    RenderProgressed,
    RenderQueued,
    SegmentMissing,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)
from ops.demo.live_stream import Asked, Reply, StreamShape
from ops.demo.origin import LiveOrigin
from tests.e2e.bad_stream import Clock, ending, write_chat
from tests.e2e.cluster import LIMIT_S, Cluster, RoleProcess, cluster, read_until, until
from tests.e2e.media import make_video
from tests.hls_media import ts_segments
from tests.render.fakes import a_queued

pytestmark = pytest.mark.timeout(LIMIT_S)
"""Each test starts up to five processes, and a process takes seconds to start."""

SPEED = 4.0
BURST_S, ENDS_AT_S = 30.0, 70.0
SHAPE = StreamShape(window=15, listed_at_start=6)
WORKERS = ("ingest", "detect", "clip", "render")
HOLDS = 'clipthat_worker_leases{kind="ingest"}'
QUICK_INGEST = (
    *("--set", "ingest.backoff_first_s=0.2", "--set", "ingest.backoff_max_s=0.4"),
    *("--set", "ingest.segment_timeout_min_s=60"),
)


def spans_of(events: Sequence[Event]) -> list[SegmentStored | SegmentMissing]:
    return [event for event in events if isinstance(event, SegmentStored | SegmentMissing)]


async def test_five_processes_make_the_clips_of_a_live_stream(tmp_path: Path) -> None:
    clock = Clock(SPEED)
    origin = LiveOrigin(
        ts_segments(seconds=20, size="320x180"),
        shape=SHAPE,
        clock=clock,
        spoil=ending(clock, ENDS_AT_S, lambda: began_of(origin)),
    )
    async with origin, cluster(tmp_path) as all_of:
        write_chat(tmp_path / "chat.jsonl", began_of(origin), 200, (BURST_S,))
        (tmp_path / "clipthat.toml").write_text(
            f'[[channels]]\nurl = "{origin.live_url}"\nname = "ann"\nchat = "chat.jsonl"\n'
        )
        control = await all_of.start("control")
        started = await asyncio.gather(*(all_of.start(role, *QUICK_INGEST) for role in WORKERS))
        workers = dict(zip(WORKERS, started, strict=True))

        async def is_done() -> bool:
            sessions = (await control.ask("/api/sessions")).json()
            return bool(sessions) and is_ready(sessions[0])

        await until(is_done)
        await check_pages(control)
        for role, worker in workers.items():
            assert (await worker.ask("/healthz")).json()["ok"], worker.said
            assert await worker.number(f'clipthat_role{{role="{role}"}}') == 1
            assert (await worker.ask("/")).status_code == 404
        assert await workers["ingest"].number(HOLDS) == 1
        assert await all_of.stop() == [0] * 5


def began_of(origin: LiveOrigin) -> float:
    assert origin.stream is not None
    return origin.stream.began_s


def is_ready(session: dict[str, Any]) -> bool:
    if session["status"] != "ended" or not session["clips"]:
        return False
    return bool(session["clips_ready"] == session["clips"]) and not session["renders_open"]


async def check_pages(control: RoleProcess) -> None:
    """The pages show a whole session and give each output."""
    (session,) = (await control.ask("/api/sessions")).json()
    assert session["missing_s"] == {}
    detail = (await control.ask(f"/api/sessions/{session['id']}")).json()
    for clip in detail["clips"]:
        assert {one["status"] for one in clip["renders"]} == {"finished"}
        answer = (await control.ask(f"/api/clips/{clip['id']}")).json()
        for name, link in answer["files"].items():
            assert (await control.ask(link)).status_code == 200, name
    fleet = (await control.ask("/api/workers")).json()
    assert [worker["kind"] for worker in fleet["workers"]] == ["ingest", "render"]
    assert [one["name"] for one in fleet["workers"][0]["holds"]] == ["ann"]
    stages = (await control.ask("/healthz")).json()["stages"]
    assert "watch ann" in {stage["name"] for stage in stages}


class Endless:
    """A stream that goes on until a test has seen enough of it."""

    def __init__(self) -> None:
        self.clock = Clock(SPEED)
        self.over = False

    def __call__(self, asked: Asked, reply: Reply, now_s: float) -> Reply:
        self.clock.start()
        if asked.kind != "playlist" or not self.over:
            return reply
        return replace(reply, body=reply.body + b"#EXT-X-ENDLIST\n")


@pytest.mark.parametrize("how", ["killed", "preempted"])
async def test_a_channel_whose_worker_is_gone_goes_on_without_a_gap(
    tmp_path: Path, how: str
) -> None:
    stream = Endless()
    origin = LiveOrigin(
        ts_segments(seconds=20, size="320x180"), shape=SHAPE, clock=stream.clock, spoil=stream
    )
    async with origin, cluster(tmp_path) as all_of:
        await all_of.start("control", origin.live_url)
        both = await asyncio.gather(*(all_of.start("ingest", *QUICK_INGEST) for _ in range(2)))
        async with all_of.bus() as bus:
            topics = ("sessions", "segments")
            before = spans_of(await read_until(bus, topics, with_spans(8)))
            counts = [await one.number(HOLDS) for one in both]
            assert sorted(counts) == [0, 1]
            holder, standby = both[counts.index(1)], both[counts.index(0)]
            if how == "killed":
                holder.kill()
            else:
                holder.process.send_signal(signal.SIGUSR1)
                assert await asyncio.wait_for(holder.process.wait(), LIMIT_S) == 0, holder.said
            await read_until(bus, topics, with_spans(len(before) + 20))
            assert await standby.number(HOLDS) == 1
            stream.over = True
            events = await read_until(bus, topics, has(SessionEnded))
        assert await all_of.stop() == [0, 0]
    check_whole(events)


def with_spans(count: int) -> Callable[[Sequence[Event]], bool]:
    return lambda seen: len(spans_of(seen)) >= count


def check_whole(events: Sequence[Event]) -> None:
    """One session, each segment once, none missing."""
    assert len([one for one in events if isinstance(one, SessionStarted)]) == 1
    (ended,) = [one for one in events if isinstance(one, SessionEnded)]
    assert ended.reason == "ended"
    spans = spans_of(events)
    assert not [one for one in spans if isinstance(one, SegmentMissing)]
    numbers = [one.seq for one in spans]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    for before, after in pairwise(spans):
        assert after.media_s == pytest.approx(before.end_s, abs=0.01)


async def test_a_render_whose_worker_is_killed_is_made_by_another_and_seen_once(
    tmp_path: Path,
) -> None:
    video = make_video(tmp_path / "source.mp4", seconds=30)
    async with cluster(tmp_path) as all_of:
        await all_of.start("control")
        await all_of.objects.put("source.mp4", video)
        # So slow that it cannot end between its first sign of life and the kill.
        first = await all_of.start("render", *SLOW)
        queued = queue(out_s=24.0)
        async with all_of.bus() as bus:
            await bus.publish([queued])
            await read_until(bus, ("renders",), has(RenderProgressed))
            first.kill()
            left = await all_of.objects.list("tenant/local/renders")
            second = await all_of.start("render")
            events = await read_until(bus, ("renders",), has(RenderFinished))
            assert left == []
            finished = [one for one in events if isinstance(one, RenderFinished)]
            assert [one.render_id for one in finished] == [queued.render_id]
            assert "/2/" in finished[0].output_key, second.said
        await renders_of_one_job(all_of)
        assert await all_of.stop() == [0]


SLOW = (
    *("--set", "render.preset=slow", "--set", "render.vertical_width_px=720"),
    *("--set", "render.threads=1", "--set", "render.nice=19"),
)


def queue(**changes: object) -> RenderQueued:
    return a_queued(**{"tenant_id": "local", "layout": "vertical_blur", "in_s": 0.0, **changes})


def has(kind: type[Event]) -> Callable[[Sequence[Event]], bool]:
    return lambda seen: any(isinstance(one, kind) for one in seen)


async def renders_of_one_job(all_of: Cluster) -> None:
    """With the workers gone, a job makes what waits, then says that nothing does."""
    all_of.processes[-1].process.send_signal(signal.SIGTERM)
    assert await all_of.processes[-1].process.wait() == 0
    async with all_of.bus() as bus:
        await bus.publish([queue(render_id="for a job", out_s=2.0)])
        codes: list[int] = []
        while 0 not in codes:
            job = await all_of.launch("render", "--once", "--json")
            codes.append(await job.process.wait())
            assert codes[-1] in (0, 3), job.said
        assert "clipthat.render.finished.v1" in job.said
        await read_until(
            bus,
            ("renders",),
            lambda seen: (
                "for a job" in {e.render_id for e in seen if isinstance(e, RenderFinished)}
            ),
        )
        idle = await all_of.launch("render", "--once")
        assert await idle.process.wait() == 3
        assert "no output waits" in idle.said
