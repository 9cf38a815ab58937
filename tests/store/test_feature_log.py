from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from bus.codec import encode
from bus.events import (
    ChannelDegraded,
    ChatWindow,
    Event,
    LoudnessMeasured,
    SessionEnded,
    SessionStarted,
)
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from bus.stage import Ctx
from store import feature_log
from store.errors import ReplayLogBroken
from store.feature_log import FeatureLog, read_features
from store.objects import Objects, download
from store.obstore_objects import open_objects

KEY = "tenant/t/sessions/s/features.jsonl.gz"
FAST = LocalBusSettings(synchronous="NORMAL")


def session(seconds: int, name: str = "s") -> list[Event]:
    """Return a session's events: chat and loudness of every second, then its end."""
    common = {"tenant_id": "t", "channel_id": "c", "session_id": name}
    events: list[Event] = [SessionStarted(**common, kind="vod", title="", source="x")]
    for second in range(seconds):
        at = {"media_s": float(second), "duration_s": 1.0}
        events.append(ChatWindow(**common, **at, messages=second))
        events.append(LoudnessMeasured(**common, **at, epoch=0, seq=second, rms_db=(-20.5,)))
    ended = SessionEnded(
        **common,
        media_s=float(seconds),
        chat_until_s=float(seconds),
        stored_s=float(seconds),
        missing_s=0.0,
        reason="ended",
    )
    return [*events[:-1], ended, events[-1]]


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects(f"file://{tmp_path}/objects")


async def run_while(bus: LocalBus, objects: Objects, is_done: asyncio.Event) -> None:
    ctx = Ctx(bus=bus)

    async def drain() -> None:
        await is_done.wait()
        ctx.draining.set()

    await asyncio.wait_for(asyncio.gather(FeatureLog(objects).run(ctx), drain()), 20.0)


class Watched:
    """Objects that say when one has been put."""

    def __init__(self, inner: Objects, ending: str) -> None:
        self.inner, self.ending, self.seen = inner, ending, asyncio.Event()

    async def put(self, key: str, data: bytes | Path) -> None:
        await self.inner.put(key, data)
        if key.endswith(self.ending):
            self.seen.set()

    async def get(self, key: str) -> bytes:
        return await self.inner.get(key)

    async def delete(self, keys: list[str]) -> None:
        await self.inner.delete(keys)

    async def list(self, prefix: str) -> object:
        return await self.inner.list(prefix)


async def features(objects: Objects, folder: Path) -> list[Event]:
    await download(objects, KEY, folder / "features.jsonl.gz")
    return list(read_features(folder / "features.jsonl.gz"))


async def test_a_session_becomes_one_log_in_order(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_log, "_CHUNK_EVENTS", 7)
    events = session(20)
    async with LocalBus.open(tmp_path / "bus.db", FAST) as bus:
        await bus.publish(events)
        watched = Watched(objects, "/features.jsonl.gz")
        await run_while(bus, watched, watched.seen)
        assert {lag.messages for lag in await bus.lag("feature_log")} == {0}
    assert await features(objects, tmp_path) == events
    assert [info.key for info in await objects.list("tenant")] == [KEY]


async def test_a_restart_in_the_midst_writes_the_same_log(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_log, "_CHUNK_EVENTS", 7)
    events = session(20)
    async with LocalBus.open(tmp_path / "bus.db", FAST) as bus:
        await bus.publish(events[:25])
        watched = Watched(objects, "features-00002.jsonl.gz")
        await run_while(bus, watched, watched.seen)
        await bus.publish(events[25:])
        watched = Watched(objects, "/features.jsonl.gz")
        await run_while(bus, watched, watched.seen)
    assert await features(objects, tmp_path) == events
    assert [info.key for info in await objects.list("tenant")] == [KEY]


async def test_what_comes_after_the_end_opens_no_session_again(
    objects: Objects, tmp_path: Path
) -> None:
    late = ChannelDegraded(
        tenant_id="t", channel_id="c", session_id="s", media_s=3.0, reason="chat_lost"
    )
    async with LocalBus.open(tmp_path / "bus.db", FAST) as bus:
        await bus.publish([*session(3), late, *session(2, "s2")])
        watched = Watched(objects, "/s2/features.jsonl.gz")
        await run_while(bus, watched, watched.seen)
        assert {lag.messages for lag in await bus.lag("feature_log")} == {0}
    assert await features(objects, tmp_path) == session(3)


def test_events_of_the_future_are_left_out(tmp_path: Path) -> None:
    lines = [encode(event) for event in session(1)]
    lines.insert(1, b'{"type":"clipthat.future.v1"}')
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    assert list(read_features(path)) == session(1)


@pytest.mark.parametrize("content", [b"plain text", gzip.compress(b"{}\n", mtime=0), b"cut"])
def test_what_is_no_log_is_said_clearly(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f.jsonl.gz"
    lines = gzip.compress(b"".join(encode(event) + b"\n" for event in session(50)))
    path.write_bytes(lines[: len(lines) // 2] if content == b"cut" else content)
    with pytest.raises(ReplayLogBroken, match="beyond line"):
        list(read_features(path))
    with pytest.raises(ReplayLogBroken):
        list(read_features(tmp_path / "nothing"))
