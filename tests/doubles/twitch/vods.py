"""Twitch's way to a VOD: access token, usher's variants, the CDN's list and segments, and its chat.

Keeps Twitch's rules and notes in `violations` who breaks them: usher checks the signature, a
segment called `-unmuted` is never given, a query without its stored name is refused, and after a
429 nobody may ask again before the time that was told.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ops.demo.live_stream import OriginSegment
from tests.doubles.twitch.gql import on_gql

HASH = "b70a3591ff0f4e0313d126c6a1502d79a1c02baebb288227c582044aa76adf6a"
_SECRET = b"usher"
DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>'
    b"<Message>Access Denied</Message><RequestId>1</RequestId></Error>"
)


@dataclass(frozen=True, slots=True)
class Said:
    """One comment."""

    at_s: int
    text: str
    user: str | None = "ann"
    badges: tuple[str, ...] = ()
    emotes: tuple[str, ...] = ()
    id: str = ""


@dataclass(slots=True)
class Vod:
    """A VOD, and what is wrong with it."""

    video_id: str
    segments: Sequence[OriginSegment]
    title: str = "a VOD"
    muted: set[int] = field(default_factory=set)
    """Segments that are listed as `-unmuted`, and lie at `-muted`."""
    denied: set[int] = field(default_factory=set)
    """Segments in whose place an object store says AccessDenied, with status 200."""
    growing: bool = False
    """The broadcast still runs: no end mark."""
    refusal: tuple[int, str, str] | None = None
    """Status, code and text with which usher answers instead."""
    exists: bool = True
    comments: Sequence[Said] = ()
    generation: int = 0
    """The signed path of lists and segments; one that is not the newest is dead."""
    dies_at: int | None = None
    """When this segment is asked for, all addresses given so far die, once."""
    tells_denial: bool = False
    """A dead address answers with AccessDenied and status 200 instead of 403."""


class TwitchVods:
    """gql.twitch.tv, usher.ttvnw.net and the CDN, for VODs."""

    def __init__(self, clock: Callable[[], float] = lambda: 1_700_000_000.0) -> None:
        self.clock = clock
        self.vods: dict[str, Vod] = {}
        self.violations: list[str] = []
        self.looked: list[str] = []
        self.reads: list[str] = []
        """Names of segments that were given."""
        self.pages: list[dict[str, Any]] = []
        """Variables of each page of comments that was given."""
        self.page_size = 5
        self.cursor_refused = False
        """A page by cursor needs a browser's proof."""
        self.comments_answer: dict[str, Any] | None = None
        """What is answered instead of any page."""
        self.comments_status = 200
        self.answers: list[Callable[[], web.Response]] = []
        """What the next requests for comments get instead."""
        self.spoil: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda edges: edges
        """Changes the entries of each page."""
        self._quiet_until_s = 0.0

    def vod(self, video_id: str, segments: Sequence[OriginSegment]) -> Vod:
        """Make a VOD."""
        self.vods[video_id] = Vod(video_id, segments)
        return self.vods[video_id]

    def too_many(self, wait_s: float) -> web.Response:
        """Answer 429, and watch that nobody asks again too early."""
        self._quiet_until_s = self.clock() + wait_s
        return web.Response(status=429, headers={"Retry-After": f"{wait_s:g}"})

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        on_gql(app, "PlaybackAccessToken vod", self._access)
        on_gql(app, "VideoMetadata", self._metadata)
        on_gql(app, "VideoCommentsByOffsetOrCursor", self._comments)
        app.router.add_get("/vod/v2/{id}.m3u8", self._usher)
        app.router.add_get("/vods/{id}/{generation}/chunked/index-dvr.m3u8", self._list)
        app.router.add_get("/vods/{id}/{generation}/chunked/{name}", self._segment)

    def _access(self, request: web.Request, variables: dict[str, Any]) -> dict[str, Any]:
        video_id = str(variables.get("vodID", ""))
        self.looked.append(video_id)
        vod = self.vods.get(video_id)
        if vod is None or not vod.exists:
            return {"data": {"videoPlaybackAccessToken": None}}
        value = json.dumps(
            {
                "authorization": {"forbidden": False, "reason": ""},
                "chansub": {"restricted_bitrates": []},
                "expires": int(self.clock() + 1200),
                "vod_id": int(video_id),
            }
        )
        return {"data": {"videoPlaybackAccessToken": {"value": value, "signature": _sign(value)}}}

    def _metadata(self, request: web.Request, variables: dict[str, Any]) -> dict[str, Any]:
        vod = self.vods.get(str(variables.get("videoID", "")))
        if vod is None or not vod.exists:
            return {"data": {"video": None}}
        video = {
            "id": vod.video_id,
            "title": vod.title,
            "game": {"displayName": "Chess"},
            "owner": {"displayName": "ann"},
        }
        return {"data": {"video": video}}

    async def _usher(self, request: web.Request) -> web.Response:
        query = request.query
        value = query.get("nauth", "")
        if not hmac.compare_digest(_sign(value), query.get("nauthsig", "")):
            return _refused(403, "nauth_token_bad_sig", "nauth token signature mismatch")
        vod = self.vods[request.match_info["id"]]
        if not vod.exists:
            return _refused(404, "vod_not_found", "Can not find VOD")
        if vod.refusal is not None:
            return _refused(*vod.refusal)
        vod.generation += 1
        base = f"{request.scheme}://{request.host}/vods/{vod.video_id}/{vod.generation}"
        return _playlist(
            [
                "#EXTM3U",
                '#EXT-X-TWITCH-INFO:ORIGIN="s3",REGION="EU",CLUSTER="cloudfront_vod"',
                '#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="chunked",NAME="1080p60",AUTOSELECT=YES',
                "#EXT-X-STREAM-INF:BANDWIDTH=1000000,"
                'CODECS="avc1.64002A,mp4a.40.2",RESOLUTION=1920x1080,VIDEO="chunked",'
                "FRAME-RATE=60.000",
                f"{base}/chunked/index-dvr.m3u8",
            ]
        )

    def _opens(self, request: web.Request) -> Vod | None:
        vod = self.vods[request.match_info["id"]]
        alive = vod.exists and request.match_info["generation"] == str(vod.generation)
        return vod if alive else None

    async def _list(self, request: web.Request) -> web.Response:
        vod = self._opens(request)
        if vod is None:
            return web.Response(status=403, body=DENIED)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:3"]
        lines += ["#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-MEDIA-SEQUENCE:0"]
        init = None
        for number, segment in enumerate(vod.segments):
            if segment.init is not None and segment.init != init:
                init = segment.init
                lines.append(f'#EXT-X-MAP:URI="init-{number}.mp4"')
            muted = "-unmuted" if number in vod.muted else ""
            suffix = "ts" if segment.init is None else "mp4"
            lines += [f"#EXTINF:{segment.duration_s:.3f},", f"{number}{muted}.{suffix}"]
        return _playlist(lines if vod.growing else [*lines, "#EXT-X-ENDLIST"])

    async def _segment(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        stem = name.partition(".")[0]
        vod = self.vods[request.match_info["id"]]
        if stem.isdigit() and int(stem) == vod.dies_at:
            vod.dies_at = None
            vod.generation += 1
        if self._opens(request) is None:
            return web.Response(status=200 if vod.tells_denial else 403, body=DENIED)
        if stem.startswith("init-"):
            return web.Response(body=vod.segments[int(stem[5:])].init)
        number, _, kind = stem.partition("-")
        if kind == "unmuted" or (int(number) in vod.muted) != (kind == "muted"):
            self.violations.append(f"a segment was read under a wrong name: {name}")
            return web.Response(status=403, body=DENIED)
        if int(number) in vod.denied:
            return web.Response(body=DENIED)
        self.reads.append(name)
        return web.Response(body=vod.segments[int(number)].body, content_type="video/mp2t")

    def _comments(
        self, request: web.Request, variables: dict[str, Any]
    ) -> dict[str, Any] | web.Response:
        if self.clock() < self._quiet_until_s:
            self.violations.append("asked again before Retry-After")
        if self.answers:
            return self.answers.pop(0)()
        if self.comments_status != 200:
            return web.Response(status=self.comments_status)
        if self.comments_answer is not None:
            return self.comments_answer
        if self.cursor_refused and "cursor" in variables:
            return {"errors": [{"message": "failed integrity check"}], "data": None}
        vod = self.vods.get(str(variables.get("videoID", "")))
        if vod is None or not vod.exists:
            return {"data": {"video": None}}
        said = sorted(enumerate(vod.comments), key=lambda pair: (pair[1].at_s, pair[0]))
        if "cursor" in variables:
            begin = int(str(variables["cursor"]).removeprefix("after-")) + 1
        else:
            offset = int(variables["contentOffsetSeconds"])
            begin = next((n for n, (_, c) in enumerate(said) if c.at_s >= offset), len(said))
        self.pages.append(variables)
        page = said[begin : begin + self.page_size]
        edges = [
            {"cursor": f"after-{begin + n}", "node": _node(number, comment)}
            for n, (number, comment) in enumerate(page)
        ]
        info = {"hasNextPage": begin + self.page_size < len(said), "hasPreviousPage": begin > 0}
        comments = {"edges": self.spoil(edges), "pageInfo": info}
        return {"data": {"video": {"id": vod.video_id, "comments": comments}}}


def _node(number: int, said: Said) -> dict[str, Any]:
    fragments: list[dict[str, Any]] = [{"emote": None, "text": said.text}]
    fragments += [{"emote": {"id": "1", "emoteID": "25"}, "text": e} for e in said.emotes]
    user = None if said.user is None else {"id": "7", "login": said.user, "displayName": said.user}
    return {
        "id": said.id or f"comment-{number}",
        "commenter": user,
        "contentOffsetSeconds": said.at_s,
        "createdAt": "2026-01-01T00:00:00.123Z",
        "message": {
            "fragments": fragments,
            "userBadges": [{"id": "", "setID": badge, "version": "1"} for badge in said.badges],
            "userColor": "#FF0000",
        },
    }


def _sign(value: str) -> str:
    return hmac.new(_SECRET, value.encode(), hashlib.sha1).hexdigest()


def _refused(status: int, code: str, text: str) -> web.Response:
    told = [{"url": "", "error": text, "error_code": code, "type": "error"}]
    return web.json_response(told, status=status)


def _playlist(lines: list[str]) -> web.Response:
    return web.Response(text="\n".join(lines) + "\n", content_type="application/vnd.apple.mpegurl")
