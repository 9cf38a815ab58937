"""Twitch's way to a live stream: access token, usher's variants, weaver's playlists, segments.

Keeps Twitch's rules and notes in `violations` who breaks them: usher checks the signature, a
playback token opens playlists for a day, an ad or a segment that is only prefetched is not to be
read, and requests carry the headers of the player.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from ops.demo.live_stream import LiveStream, OriginSegment, StreamShape
from tests.doubles.twitch.gql import on_gql

_SECRET = b"usher"
_TOKEN_S = 1200.0
WINDOW = 15
RENDITIONS = ("1080p60", "720p60", "480p30", "360p30", "160p30", "audio_only", "720p60_portrait")
_SIZES = {"1080p60": (1920, 1080), "720p60": (1280, 720), "480p30": (852, 480)}
_SIZES |= {"360p30": (640, 360), "160p30": (284, 160), "720p60_portrait": (720, 1280)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One segment of a broadcast."""

    index: int
    """Counted from the broadcast's beginning."""
    number: int
    """Counted from the encoder's last start."""
    date_s: float
    duration_s: float
    first: bool
    """The first one after the encoder has started again."""


@dataclass(slots=True)
class _Run:
    stream: LiveStream
    base: int
    ended_s: float | None = None

    def count(self, now_s: float) -> int:
        return self.stream.listed(now_s if self.ended_s is None else min(now_s, self.ended_s))

    def entry(self, number: int) -> Entry:
        date_s = self.stream.began_s + self.stream.start_s(number)
        segment = self.stream.segments[number % len(self.stream.segments)]
        again = number == 0 and self.base > 0
        return Entry(self.base + number, number, date_s, segment.duration_s, again)


@dataclass(slots=True)
class Playback:
    """One playback token's session at weaver."""

    login: str
    broadcast_id: str
    rendition: str
    began_s: float
    shift: int
    """Added to an entry's index to get its media sequence number here."""
    ads: list[tuple[float, float]]
    dead: bool = False


@dataclass(slots=True)
class Channel:
    """A channel, and what is wrong with it."""

    login: str
    title: str
    clock: Callable[[], float]
    segments: Sequence[OriginSegment]
    live: bool = False
    broadcast_id: str = ""
    exists: bool = True
    refusal: tuple[int, str, str] | None = None
    """Status, code and text with which usher answers instead."""
    preroll_s: float = 0.0
    """Each new playback begins with an ad this long."""
    spurious: set[int] = field(default_factory=set)
    """Entries before which a discontinuity is told though nothing changes."""
    names_broadcast: bool = True
    """Whether usher tells the broadcast's id."""
    dated_ads: bool = True
    """Whether ads are told by DATERANGE, besides their titles."""
    renditions: tuple[str, ...] = RENDITIONS
    codecs: str = "avc1.64002A,mp4a.40.2"
    ads: list[tuple[float, float]] = field(default_factory=list)
    runs: list[_Run] = field(default_factory=list)

    def go_live(self, broadcast_id: str, *, early: int = 3) -> None:
        """Begin a broadcast; `early` segments are listed at once."""
        self.broadcast_id, self.live, self.runs, self.ads = broadcast_id, True, [], []
        self._start(early)

    def go_offline(self) -> None:
        """Stop sending."""
        self.live = False
        self.runs[-1].ended_s = self.clock()

    def come_back(self) -> None:
        """Send again, in the same broadcast."""
        self.live = True
        self._start(0)

    def restart_encoder(self) -> None:
        """Stop and send again at once: timestamps begin anew, the broadcast goes on."""
        self.go_offline()
        self.come_back()

    def run_ad(self, length_s: float) -> None:
        """Begin a mid-roll ad with the next segment."""
        start_s = self.runs[-1].entry(self.runs[-1].count(self.clock())).date_s
        self.ads.append((start_s, start_s + length_s))

    def listed(self) -> list[Entry]:
        """Return the newest entries of the broadcast."""
        now_s = self.clock()
        entries: list[Entry] = []
        for run in self.runs:
            until = run.count(now_s)
            entries += [run.entry(n) for n in range(max(0, until - WINDOW), until)]
        return entries[-WINDOW:]

    def coming(self) -> list[Entry]:
        """Return the two entries that can be prefetched."""
        if not self.live:
            return []
        until = self.runs[-1].count(self.clock())
        return [self.runs[-1].entry(n) for n in (until, until + 1)]

    def _start(self, early: int) -> None:
        now_s = self.clock()
        base = self.runs[-1].base + self.runs[-1].count(now_s) if self.runs else 0
        early_s = sum(s.duration_s for s in self.segments[:early])
        self.runs.append(_Run(LiveStream(self.segments, now_s - early_s, StreamShape()), base))


class TwitchPlaylists:
    """gql.twitch.tv, usher.ttvnw.net, and the weaver and edge servers behind them."""

    def __init__(self, clock: Callable[[], float], segments: Sequence[OriginSegment]) -> None:
        self.clock = clock
        self._segments = segments
        self.channels: dict[str, Channel] = {}
        self.playbacks: dict[str, Playback] = {}
        self.violations: list[str] = []
        self.looked: list[tuple[float, str]] = []
        """(time, login) of each access token that was asked for."""
        self.reads: list[str] = []
        """Renditions whose playlists were read."""
        self.gql_status = 200
        self.wants_integrity = False
        self.storm_until_s = 0.0
        """Until then, weaver answers 403 to everybody."""
        self.life_s = 86_400.0
        """A playback token opens playlists this long."""
        self.first_seqs: Iterator[int] = itertools.repeat(0)
        """First media sequence number of each new playback, in turn."""

    def channel(self, login: str, title: str = "a title") -> Channel:
        """Make a channel, offline."""
        made = Channel(login, title, self.clock, self._segments)
        self.channels[login] = made
        return made

    def kill_tokens(self) -> None:
        """Let every playback token die now."""
        for playback in self.playbacks.values():
            playback.dead = True

    def reset_sequence(self) -> None:
        """Let weaver count anew, under the same addresses."""
        for playback in self.playbacks.values():
            listed = self.channels[playback.login].listed()
            playback.shift = -listed[0].index if listed else 0

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        on_gql(app, "PlaybackAccessToken live", self._access)
        on_gql(app, "ChannelShell", self._shell)
        on_gql(app, "StreamMetadata", self._metadata)
        app.router.add_get("/api/v2/channel/hls/{name}.m3u8", self._usher)
        app.router.add_get("/v1/playlist/{token}.m3u8", self._weaver)
        app.router.add_get("/v1/segment/{name}", self._segment)

    def _access(
        self, request: web.Request, variables: dict[str, Any]
    ) -> dict[str, Any] | web.Response:
        login = str(variables.get("login", ""))
        self.looked.append((self.clock(), login))
        for name in ("isLive", "isVod", "vodID", "playerType", "platform"):
            if name not in variables:
                self.violations.append(f"PlaybackAccessToken without {name}")
        if self.gql_status != 200:
            return web.json_response({"error": "trouble"}, status=self.gql_status)
        if self.wants_integrity:
            return {"errors": [{"message": "failed integrity check"}], "data": None}
        channel = self.channels.get(login)
        if channel is None or not channel.exists:
            return {"data": {"streamPlaybackAccessToken": None}}
        value = json.dumps(
            {
                "authorization": {"forbidden": False, "reason": ""},
                "channel": login,
                "chansub": {"restricted_bitrates": [], "view_until": 1924905600},
                "expires": int(self.clock() + _TOKEN_S),
                "geoblock_reason": "",
                "user_ip": "127.0.0.1",
            }
        )
        token = {"value": value, "signature": _sign(value), "__typename": "PlaybackAccessToken"}
        return {"data": {"streamPlaybackAccessToken": token}}

    def _shell(self, request: web.Request, variables: dict[str, Any]) -> dict[str, Any]:
        channel = self.channels.get(str(variables.get("login")))
        if channel is None:
            return {"data": {"userOrError": {"reason": "UNKNOWN"}}}
        return {"data": {"userOrError": {"id": "1", "displayName": channel.login}}}

    def _metadata(self, request: web.Request, variables: dict[str, Any]) -> dict[str, Any]:
        channel = self.channels.get(str(variables.get("channelLogin")))
        if channel is None or not channel.live:
            return {"data": {"user": None}}
        stream = {"id": channel.broadcast_id, "game": {"name": "Chess"}}
        user = {"lastBroadcast": {"title": channel.title}, "stream": stream}
        return {"data": {"user": user}}

    async def _usher(self, request: web.Request) -> web.Response:
        query = request.query
        self._check_headers(request)
        for name in ("allow_source", "playlist_include_framerate", "supported_codecs", "p"):
            if name not in query:
                self.violations.append(f"usher without {name}")
        value = query.get("token", "")
        if not hmac.compare_digest(_sign(value), query.get("sig", "")):
            return _refused(403, "invalid_signature", "Invalid signature")
        if json.loads(value)["expires"] < self.clock():
            return _refused(403, "expired_token", "Token expired")
        channel = self.channels[json.loads(value)["channel"]]
        if channel.refusal is not None:
            return _refused(*channel.refusal)
        if not channel.live or not channel.listed():
            return _refused(404, "transcode_does_not_exist", "transcode does not exist")
        base = f"{request.scheme}://{request.host}"
        return _playlist(self._variants(channel, base))

    def _variants(self, channel: Channel, base: str) -> list[str]:
        now_s, listed = self.clock(), channel.listed()
        first_seq = next(self.first_seqs)
        named = f'BROADCAST-ID="{channel.broadcast_id}",' if channel.names_broadcast else ""
        lines = [
            "#EXTM3U",
            '#EXT-X-TWITCH-INFO:NODE="video-edge-x.fra02",MANIFEST-NODE-TYPE="weaver_cluster",'
            f'SERVER-TIME="{now_s:.2f}",USER-IP="127.0.0.1",ABS="true",VIDEO-SESSION-ID="1",'
            f'{named}STREAM-TIME="1.0",B="false",D="false"',
        ]
        for name in channel.renditions:
            token = f"{len(self.playbacks):04d}{hashlib.sha256(name.encode()).hexdigest()}"
            ads = []
            if channel.preroll_s:
                ads.append((listed[0].date_s, now_s + channel.preroll_s))
            self.playbacks[token] = Playback(
                channel.login, channel.broadcast_id, name, now_s, first_seq - listed[0].index, ads
            )
            kind = "audio_only" if name == "audio_only" else name.removesuffix("_portrait")
            groups = "portrait" if name.endswith("_portrait") else "landscape"
            origin = "source" if name == channel.renditions[0] else "transcode"
            size = _SIZES.get(name)
            picture = "" if size is None else f"RESOLUTION={size[0]}x{size[1]},FRAME-RATE="
            picture += "" if size is None else ("60.000," if "p60" in name else "30.000,")
            codecs = "mp4a.40.2" if size is None else channel.codecs
            lines += [
                f'#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS="{codecs}",{picture}'
                f'STABLE-VARIANT-ID="{kind}",IVS-NAME="{kind}",IVS-GROUPS="{groups}",'
                f'IVS-VARIANT-SOURCE="{origin}"',
                f"{base}/v1/playlist/{token}.m3u8",
            ]
        return lines

    async def _weaver(self, request: web.Request) -> web.Response:
        self._check_headers(request)
        playback = self.playbacks.get(request.match_info["token"])
        now_s = self.clock()
        if now_s < self.storm_until_s:
            return web.Response(status=403)
        if playback is None:
            return web.Response(status=404)
        if playback.dead or now_s >= playback.began_s + self.life_s:
            return web.Response(status=403)
        channel = self.channels[playback.login]
        if channel.broadcast_id != playback.broadcast_id:
            return web.Response(status=404)
        self.reads.append(playback.rendition)
        return _playlist(self._media(channel, playback))

    def _media(self, channel: Channel, playback: Playback) -> list[str]:
        listed = channel.listed()
        spans = [*channel.ads, *playback.ads]
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:6"]
        if listed:
            lines += [
                f"#EXT-X-MEDIA-SEQUENCE:{max(0, listed[0].index + playback.shift)}",
                f"#EXT-X-TWITCH-LIVE-SEQUENCE:{listed[0].index}",
                '#EXT-X-DATERANGE:ID="source-1",CLASS="twitch-stream-source",'
                f'START-DATE="{_date(listed[0].date_s)}",END-ON-NEXT=YES,'
                'X-TV-TWITCH-STREAM-SOURCE="live"',
            ]
        for start_s, end_s in spans if channel.dated_ads else ():
            lines.append(
                f'#EXT-X-DATERANGE:ID="stitched-ad-{start_s:.0f}",CLASS="twitch-stitched-ad",'
                f'START-DATE="{_date(start_s)}",DURATION={end_s - start_s:.3f},'
                'X-TV-TWITCH-AD-ROLL-TYPE="MIDROLL"'
            )
        init = self._segments[0].init
        if init is not None:
            lines.append('#EXT-X-MAP:URI="/v1/segment/init.mp4"')
        was_ad = False
        for place, entry in enumerate(listed):
            ad = _is_ad(entry, spans)
            if (ad != was_ad and place) or entry.first or entry.index in channel.spurious:
                lines.append("#EXT-X-DISCONTINUITY")
            was_ad = ad
            title = "Amazon|2474283100494" if ad else "live"
            lines += [
                f"#EXT-X-PROGRAM-DATE-TIME:{_date(entry.date_s)}",
                f"#EXTINF:{entry.duration_s:.3f},{title}",
                self._uri(channel, entry, ad),
            ]
        for entry in channel.coming():
            ad = _is_ad(entry, spans)
            if ad and not was_ad:
                lines.append("#EXT-X-DISCONTINUITY")
            was_ad = ad
            lines.append(f"#EXT-X-TWITCH-PREFETCH:{self._uri(channel, entry, ad)}")
        return lines if channel.live else [*lines, "#EXT-X-ENDLIST"]

    def _uri(self, channel: Channel, entry: Entry, ad: bool) -> str:
        kind = "ad" if ad else "live"
        suffix = "ts" if self._segments[0].init is None else "mp4"
        name = f"{kind}~{channel.login}~{channel.broadcast_id}~{entry.index}~{entry.number}"
        return f"/v1/segment/{name}.{suffix}"

    async def _segment(self, request: web.Request) -> web.Response:
        self._check_headers(request)
        name = request.match_info["name"].rpartition(".")[0]
        if name == "init":
            return web.Response(body=self._segments[0].init, content_type="video/mp4")
        kind, login, broadcast_id, index, number = name.split("~")
        channel = self.channels[login]
        if kind == "ad":
            self.violations.append(f"an ad was read: {index}")
        if channel.broadcast_id == broadcast_id:
            listed = channel.listed()
            if listed and int(index) > listed[-1].index:
                self.violations.append(f"read before it was regular: {index}")
        body = self._segments[int(number) % len(self._segments)].body
        return web.Response(body=body, content_type="video/mp2t")

    def _check_headers(self, request: web.Request) -> None:
        if "player.twitch.tv" not in request.headers.get("Referer", ""):
            self.violations.append(f"{request.path} without the player's headers")


def _is_ad(entry: Entry, spans: Sequence[tuple[float, float]]) -> bool:
    return any(start_s <= entry.date_s + 0.01 < end_s for start_s, end_s in spans)


def _sign(value: str) -> str:
    return hmac.new(_SECRET, value.encode(), "sha1").hexdigest()


def _date(date_s: float) -> str:
    date = datetime.fromtimestamp(date_s, UTC).isoformat(timespec="milliseconds")
    return date.replace("+00:00", "Z")


def _refused(status: int, code: str, text: str) -> web.Response:
    told = [{"url": "", "error": text, "error_code": code, "type": "error"}]
    return web.json_response(told, status=status)


def _playlist(lines: list[str]) -> web.Response:
    return web.Response(text="\n".join(lines) + "\n", content_type="application/vnd.apple.mpegurl")
