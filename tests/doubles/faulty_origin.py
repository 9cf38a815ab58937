"""A live origin with bad days, reached without a socket, in pretended time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from ops.demo.live_stream import Asked, LiveStream, OriginSegment, Reply, StreamShape
from store.errors import FetchError, FetchStatus, FetchTooLarge, FetchTruncated
from tests.doubles.fake_timer import FakeTimer

Spoil = Callable[[Asked, Reply, float], Reply | None]


@dataclass(frozen=True, slots=True)
class FakeAnswer:
    """What `FaultyOrigin.get` returns."""

    body: bytes
    url: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class FaultyOrigin:
    """Answers as `store.fetch.Fetcher` would, from a `LiveStream` and a list of spoilers."""

    def __init__(
        self,
        segments: Sequence[OriginSegment],
        timer: FakeTimer,
        *,
        shape: StreamShape | None = None,
        spoilers: Sequence[Spoil] = (),
        latency_s: float = 0.02,
    ) -> None:
        shape = shape or StreamShape()
        early_s = sum(s.duration_s for s in segments[: shape.listed_at_start])
        self.timer = timer
        self.began_s = timer.now() - early_s
        self.stream = LiveStream(segments, self.began_s, shape)
        self.spoilers = list(spoilers)
        self.asked: list[tuple[float, Asked]] = []
        self._latency_s = latency_s

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_s: float,
        offset: int | None = None,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> FakeAnswer:
        """Answer, or raise what the real fetcher raises."""
        asked = self.stream.asked(urlsplit(url).path)
        if asked is None:
            raise FetchStatus(url, 404)
        now_s = self.timer.now()
        self.asked.append((now_s, asked))
        reply: Reply | None = self.stream.reply(asked, now_s)
        for spoil in self.spoilers:
            if reply is not None:
                reply = spoil(asked, reply, now_s - self.began_s)
        if reply is None:
            await self.timer.sleep(self._latency_s)
            raise FetchError(f"{url}: connection refused")
        await self.timer.sleep(min(timeout_s, self._latency_s + reply.delay_s))
        if reply.delay_s >= timeout_s:
            raise FetchError(f"{url}: no answer within {timeout_s} s")
        return self._answer(url, reply, max_bytes, offset, length)

    def _answer(
        self, url: str, reply: Reply, max_bytes: int, offset: int | None, length: int | None
    ) -> FakeAnswer:
        if reply.status >= 400:
            raise FetchStatus(url, reply.status)
        body = reply.body
        if offset is not None and length is not None:
            body = body[offset : offset + length]
        if len(body) > max_bytes:
            raise FetchTooLarge(f"{url} is larger than {max_bytes} bytes")
        if reply.cut:
            raise FetchTruncated(f"{url} ended early")
        return FakeAnswer(body, url)


def during(start_s: float, end_s: float, spoil: Spoil) -> Spoil:
    """Spoil between two times, in seconds from the stream's beginning."""

    def spoiled(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        return spoil(asked, reply, t_s) if start_s <= t_s < end_s else reply

    return spoiled


def gone(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
    """Answer nothing at all."""
    return None


def playlists(status: int = 200, body: bytes | None = None) -> Spoil:
    """Answer playlists with this status or body."""

    def spoiled(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        if asked.kind not in ("multivariant", "playlist"):
            return reply
        return replace(reply, status=status, body=reply.body if body is None else body)

    return spoiled


def rewritten(change: Callable[[str], str]) -> Spoil:
    """Change the text of media playlists."""

    def spoiled(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        if asked.kind not in ("playlist", "vod"):
            return reply
        return replace(reply, body=change(reply.body.decode()).encode())

    return spoiled


def segment(number: int, change: Callable[[Reply], Reply | None], until_s: float = 1e9) -> Spoil:
    """Change what is answered for one segment."""

    def spoiled(asked: Asked, reply: Reply, t_s: float) -> Reply | None:
        mine = asked.kind == "segment" and asked.number == number and t_s < until_s
        return change(reply) if mine else reply

    return spoiled
