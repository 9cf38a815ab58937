"""The channels that a run watches: live streams on loopback with loud stretches, and their chat.

Law: what is in them follows from the seed; a stream that waits for its watcher never loses a
segment to a slow machine.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from ops.demo.live_stream import Asked, OriginSegment, Reply, StreamShape
from ops.demo.origin import LiveOrigin

SEGMENT_S = 2.0
LOOP_S = 60.0
BURST_S = 6.0
_ENDS_TOLD = 4
WINDOW = 15
"""Segments that a playlist lists: thirty seconds."""
_WORDS = ("OMG", "clip that", "LUL", "no way")


class Clock:
    """Unix time of a stream; with `step_max_s` it waits for whoever is slow.

    Between two looks it advances `step_max_s` at most, so all that a playlist lists is asked for
    before it leaves, however slow the machine is.
    """

    def __init__(self, speed: float = 1.0, step_max_s: float | None = None) -> None:
        self._at_s = time.time()
        self._speed = speed
        self._step_max_s = step_max_s
        self._since_s = time.monotonic()

    def __call__(self) -> float:
        """Look at it."""
        self._at_s = self.glance()
        self._since_s = time.monotonic()
        return self._at_s

    def glance(self) -> float:
        """Return the time as it would be told now, without a look that moves it on."""
        passed_s = (time.monotonic() - self._since_s) * self._speed
        if self._step_max_s is not None:
            passed_s = min(passed_s, self._step_max_s)
        return self._at_s + passed_s


@dataclass
class Channel:
    """A live stream and its chat."""

    name: str
    segments: tuple[OriginSegment, ...]
    origin: LiveOrigin
    clock: Clock
    chat: Path
    bursts_s: tuple[float, ...]
    """Media seconds from the stream's beginning at which chat reacts, in each loop."""
    over: bool = False
    """Set to end the stream: its playlist says so, and is gone once all of it has been fetched."""
    ends_told: int = 0
    """How often the ended playlist was told; one answer may be lost on the way."""
    last: bytes = b""
    """The playlist as it was when the stream ended."""
    asked: set[int] = field(default_factory=set)
    """Numbers of segments that were fetched."""
    fetched_at_s: float = 0.0
    """Unix time at which a segment was fetched that nobody had fetched before."""

    @property
    def url(self) -> str:
        """What is watched."""
        return self.origin.live_url

    def end(self, asked: Asked, reply: Reply) -> Reply:
        """Answer for a stream that is over."""
        last = f"segments/{max(self.asked, default=0)}.ts"
        if self.ends_told >= _ENDS_TOLD and last in _last_line(self.last):
            return replace(reply, status=404, body=b"not found")
        if asked.kind == "multivariant":
            return reply
        self.ends_told += 1
        self.last = self.last or reply.body + b"#EXT-X-ENDLIST\n"
        return replace(reply, body=self.last)

    @property
    def behind(self) -> int:
        """How many segments are listed that nobody has fetched, the oldest left out."""
        assert self.origin.stream is not None
        listed = self.origin.stream.listed(self.clock.glance())
        return listed - 1 - max(self.asked, default=-1)

    @property
    def now_s(self) -> float:
        """How long the stream has been on."""
        assert self.origin.stream is not None
        return self.clock.glance() - self.origin.stream.began_s


def _last_line(playlist: bytes) -> str:
    """Return the line of a playlist that names its last segment."""
    return playlist.decode().splitlines()[-2]


@cache
def loud_at(at_s: float, seconds: float = LOOP_S) -> tuple[OriginSegment, ...]:
    """Make segments of a moving picture whose tone is loud for a while from this second on."""
    loud = f"if(between(t,{at_s},{at_s + BURST_S}),0.8,0.03)"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"),
                *("-f", "lavfi", "-i", f"testsrc2=size=160x90:rate=10:duration={seconds}"),
                *("-f", "lavfi", "-i", f"aevalsrc='{loud}*sin(440*2*PI*t)':s=48000:d={seconds}"),
                *("-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-bf", "0"),
                *("-c:a", "aac", "-b:a", "48k", "-threads", "1", "-f", "hls"),
                *("-hls_time", str(SEGMENT_S), "-hls_list_size", "0", "out.m3u8"),
            ],
            check=True,
            cwd=folder,
            timeout=120,
        )
        names = [
            line
            for line in (Path(folder) / "out.m3u8").read_text().splitlines()
            if line and not line.startswith("#")
        ]
        return tuple(
            OriginSegment(body=(Path(folder) / name).read_bytes(), duration_s=SEGMENT_S)
            for name in names
        )


@contextlib.asynccontextmanager
async def on_air(
    folder: Path,
    names: Sequence[str],
    seed: int,
    make_clock: Callable[[], Clock] = Clock,
    host: str = "127.0.0.1",
) -> AsyncIterator[list[Channel]]:
    """Serve a channel for each name for as long as the context is open."""
    chance = random.Random(f"{seed} world")
    async with contextlib.AsyncExitStack() as stack:
        channels = []
        for name in names:
            at_s = chance.randrange(10, int(LOOP_S - BURST_S) - 2, 2)
            channel = _channel(folder, name, float(at_s), make_clock(), host)
            await stack.enter_async_context(channel.origin)
            channels.append(channel)
        yield channels


def _channel(folder: Path, name: str, at_s: float, clock: Clock, host: str) -> Channel:
    def answer(asked: Asked, reply: Reply, now_s: float) -> Reply | None:
        if asked.kind == "segment" and asked.number not in channel.asked:
            channel.asked.add(asked.number)
            channel.fetched_at_s = time.time()
        if asked.kind in ("playlist", "multivariant") and channel.over:
            return channel.end(asked, reply)
        return reply

    segments = loud_at(at_s)
    shape = StreamShape(window=WINDOW, listed_at_start=1, width=160, height=90)
    channel = Channel(
        name=name,
        segments=segments,
        origin=LiveOrigin(segments, shape=shape, clock=clock, spoil=answer, host=host),
        clock=clock,
        chat=folder / f"{name}.chat.jsonl",
        bursts_s=(at_s + 8.0,),
    )
    return channel


def write_chat(channel: Channel, until_s: float, seed: int) -> None:
    """Write the chat of a channel that is on: calm, and lively after what is loud."""
    assert channel.origin.stream is not None
    began_s = channel.origin.stream.began_s
    chance = random.Random(f"{seed} {channel.name} chat")
    lines = [
        (t + chance.random(), f"viewer{chance.randrange(9)}", f"talk {t}")
        for t in range(0, int(until_s), 2)
    ]
    loops = int(until_s // LOOP_S) + 1
    for at_s in (loop * LOOP_S + burst_s for loop in range(loops) for burst_s in channel.bursts_s):
        lines += [
            (at_s + n * 0.15, f"fan{n}", chance.choice(_WORDS))
            for n in range(chance.randrange(24, 36))
        ]
    lines.sort()
    channel.chat.write_text(
        "".join(
            json.dumps({"sent_ms": (began_s + t) * 1000, "t_s": t, "user": user, "text": text})
            + "\n"
            for t, user, text in lines
            if t < until_s
        )
    )


def configuration(channels: Sequence[Channel]) -> str:
    """Return a clipthat.toml that names the channels."""
    return "".join(
        f"[[channels]]\nurl = {json.dumps(channel.url)}\nname = {json.dumps(channel.name)}\n"
        f"chat = {json.dumps(str(channel.chat))}\n"
        for channel in channels
    )
