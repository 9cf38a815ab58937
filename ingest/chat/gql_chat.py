"""A Twitch VOD's own chat replay, read over Twitch's GraphQL as far as it is asked for.

Law: one page at a time, in step with the media. What Twitch does not give is a gap that a person is
told of, never an empty chat.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict
from typing import Any

import aiohttp
import orjson

from bus.ports import Meter, SilentMeter
from ingest.chat.comments import Comments, Refusal, read_comments
from ingest.chat.line import ChatLine
from ingest.chat.source import ChatBatch, ChatNotice
from ingest.timer import Timer, WallTimer
from store.twitch.settings import TwitchSettings

_OPERATION = "VideoCommentsByOffsetOrCursor"
_BYTES_MAX = 8_000_000
_SEEN_MAX = 5_000
_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_WAIT_MAX_S = 60.0
"""A longer wait than this, which Twitch may ask for, is not waited out."""
_AGAIN_S = 300.0
"""After a trouble that may pass, chat is asked for again so many media seconds later."""
_STEPS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""How far to go on by time, after pages that told nothing new."""


class GqlChat:
    """A `ChatSource` of a Twitch VOD; its lines stand at their time in the whole VOD."""

    def __init__(
        self,
        video_id: str,
        settings: TwitchSettings,
        *,
        meter: Meter | None = None,
        timer: Timer | None = None,
    ) -> None:
        """`video_id`: digits."""
        self._video_id = video_id
        self._settings = settings
        self._meter = meter or SilentMeter()
        self._timer = timer or WallTimer()
        self._http: aiohttp.ClientSession | None = None
        self._pending: list[tuple[float, int, ChatLine]] = []
        self._order = itertools.count()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._at_s = 0.0
        """Where the next page begins, when it is asked for by time."""
        self._cursor = ""
        self._by_time = False
        """Twitch takes no cursor from us."""
        self._stale = 0
        """Pages in a row that told nothing new."""
        self._read_s = 0.0
        """Everything before this has been read."""
        self._newest_s = 0.0
        self._ended = False
        self._refused = ""
        self._again_s = math.inf
        """When to ask again after a refusal."""
        self._has_told = False
        self._dropped = 0
        self._gap_from_s = 0.0

    @property
    def end_s(self) -> float | None:
        """Time of the last line, once all have been read."""
        return self._newest_s if self._ended and not self._refused else None

    def begin_at(self, t_s: float) -> None:
        """Leave out what was sent before `t_s`; called before the first drain."""
        self._at_s = self._read_s = self._gap_from_s = max(0.0, t_s)

    async def open(self, wall_start_s: float | None) -> None:
        """Nothing is read before it is asked for."""
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Client-ID": self._settings.web_client_id},
        )

    async def drain(self, until_s: float) -> ChatBatch:
        """Return the lines before `until_s`; see `ChatSource.drain`."""
        notices: tuple[ChatNotice, ...] = ()
        if self._refused and until_s >= self._again_s:
            self._refused, self._cursor = "", ""
            self._at_s = self._read_s = self._gap_from_s
        # Times are whole seconds: a second is known once a later one has been seen.
        while not self._ended and not self._refused and self._read_s < until_s:
            page = await self._page()
            if isinstance(page, Comments):
                self._take(page)
            else:
                self._refused = page.said
                self._gap_from_s = self._read_s
                self._again_s = until_s + _AGAIN_S if page.passing else math.inf
                if not self._has_told:
                    notices = (ChatNotice("chat_refused", _told(page.said)),)
                self._has_told = True
        ready: list[ChatLine] = []
        while self._pending and self._pending[0][0] < until_s:
            ready.append(heapq.heappop(self._pending)[2])
        dropped, self._dropped = self._dropped, 0
        return ChatBatch(
            lines=tuple(ready),
            connected=not self._refused,
            gap_seconds=self._gaps(until_s),
            dropped=dropped,
            notices=notices,
        )

    async def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _gaps(self, until_s: float) -> frozenset[int]:
        if not self._refused or math.isinf(until_s):
            return frozenset()
        seconds = frozenset(range(math.floor(self._gap_from_s), math.ceil(until_s)))
        self._gap_from_s = max(self._gap_from_s, until_s)
        return seconds

    def _take(self, page: Comments) -> None:
        self._dropped += page.malformed
        new = 0
        for line in page.lines:
            if line.message_id and line.message_id in self._seen:
                continue
            self._seen[line.message_id] = None
            while len(self._seen) > _SEEN_MAX:
                self._seen.popitem(last=False)
            new += 1
            self._newest_s = max(self._newest_s, line.t_s)
            heapq.heappush(self._pending, (line.t_s, next(self._order), line))
        self._ended = not page.has_more
        self._cursor = page.cursor
        known_s = self._read_s if page.last_s is None else page.last_s
        self._read_s = max(self._read_s, known_s)
        if new:
            self._stale, self._at_s = 0, max(self._at_s, math.floor(known_s))
        else:
            # More was written in this second than a page holds, or a page came empty.
            step_s = _STEPS_S[min(self._stale, len(_STEPS_S) - 1)]
            self._stale += 1
            self._at_s = max(self._at_s, math.floor(known_s)) + step_s
            self._read_s = max(self._read_s, self._at_s) if self._by_time else self._read_s
            if not self._by_time and self._stale > len(_STEPS_S):
                self._cursor = ""
                self._by_time = True

    async def _page(self) -> Comments | Refusal:
        """Read the next page, with a few tries."""
        waits_s = () if self._has_told else _WAITS_S
        for wait_s in (*waits_s, None):
            by_cursor = bool(self._cursor) and not self._by_time
            answer, asked_s = await self._ask(by_cursor)
            if isinstance(answer, Comments):
                self._meter.count("clipthat_vod_chat_pages_total", outcome="ok")
                return answer
            self._meter.count("clipthat_vod_chat_pages_total", outcome="refused")
            if answer.integrity and by_cursor:
                self._by_time = True
                return await self._page()
            rest_s = wait_s if wait_s is None else max(wait_s, asked_s)
            if not answer.passing or rest_s is None or rest_s > _WAIT_MAX_S:
                return answer
            await self._timer.sleep(rest_s)
        raise AssertionError("the last try returns")

    async def _ask(self, by_cursor: bool) -> tuple[Comments | Refusal, float]:
        """Return what one request gives, and how long Twitch asks to wait before another."""
        assert self._http is not None  # drained only while open
        variables: dict[str, Any] = {"videoID": self._video_id}
        if by_cursor:
            variables["cursor"] = self._cursor
        else:
            variables["contentOffsetSeconds"] = max(0, math.floor(self._at_s))
        query = {
            "operationName": _OPERATION,
            "variables": variables,
            "extensions": {
                "persistedQuery": {"version": 1, "sha256Hash": self._settings.comments_hash}
            },
        }
        try:
            async with self._http.post(
                self._settings.gql_url,
                data=orjson.dumps([query]),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as answer:
                if answer.status == 429 or answer.status >= 500:
                    asked_s = _retry_after_s(answer.headers.get("Retry-After", ""))
                    return Refusal(f"it answers with error {answer.status}", passing=True), asked_s
                body = await _body(answer)
                if body is None:
                    return Refusal("the answer is too large"), 0.0
                if answer.status != 200 and b"errors" not in body:
                    return Refusal(f"it answers with error {answer.status}"), 0.0
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Refusal("it does not answer", passing=True), 0.0
        try:
            return read_comments(orjson.loads(body)), 0.0
        except orjson.JSONDecodeError:
            return Refusal("the answer is not understood", passing=True), 0.0


async def _body(answer: aiohttp.ClientResponse) -> bytes | None:
    body = bytearray()
    async for piece in answer.content.iter_chunked(65_536):
        body += piece
        if len(body) > _BYTES_MAX:
            return None
    return bytes(body)


def _retry_after_s(told: str) -> float:
    try:
        return max(0.0, float(told))
    except ValueError:
        return 0.0


def _told(said: str) -> str:
    return (
        f"Twitch did not give this VOD's chat: {said}; download it with TwitchDownloader and pass"
        " --chat FILE"
    )
