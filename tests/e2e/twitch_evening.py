"""An evening on Twitch's doubles: two channels, their chat, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ops.demo.live_stream import OriginSegment
from tests.doubles.twitch.eventsub import Account, EventSubDouble
from tests.doubles.twitch.helix import HelixDouble
from tests.doubles.twitch.irc import TwitchIrc
from tests.doubles.twitch.login import Person, TwitchLoginDouble
from tests.doubles.twitch.playlists import Channel, TwitchPlaylists
from tests.doubles.twitch.server import serving

CHAT = "channel.chat.message"
CONNECTED, ANONYMOUS = "ann", "bob"
LOGINS = (CONNECTED, ANONYMOUS)
SCOPES = ("user:read:chat", "clips:edit")
SEGMENT_S = 2.0
BURSTS_S = (22.0, 36.0, 78.0)
"""Chat reacts; what it reacts to was some eleven seconds earlier: just before an ad, just after."""
AD_S, AD_LENGTH_S = 15.0, 8.0
DROPPED_S, MOVED_S, RESTARTED_S, REVOKED_S = 44.0, 47.0, 50.0, 53.0
AWAY_S, BACK_S, OVER_S = 56.0, 62.0, 88.0
FLAP_S = 30.0
_WORDS = ("OMG", "clip that", "LUL", "no way")
_PATIENCE_S = 120.0


class StreamClock:
    """Unix time that runs only while the product asks for something, `STEP_MAX_S` at most between.

    So a machine that takes long sees the same evening. `at_s` looks without moving it.
    """

    STEP_MAX_S = 4.0

    def __init__(self) -> None:
        self.at_s = time.time()
        self._since_s = time.monotonic()

    def __call__(self) -> float:
        now_s = time.monotonic()
        self.at_s = min(self.at_s + min(now_s - self._since_s, self.STEP_MAX_S), time.time())
        self._since_s = now_s
        return self.at_s


@dataclass
class Truth:
    """What the doubles have done to one channel."""

    delivered: dict[str, float] = field(default_factory=dict)
    """Stream time at which each line was said that somebody heard, by its id."""
    unheard: list[str] = field(default_factory=list)
    cut_s: list[tuple[float, float]] = field(default_factory=list)
    """(from, until) nobody sat in the chat, after it had begun."""
    begun_s: float = 0.0
    """When the chat was first heard."""
    lag_s: float = 0.0
    """How far the stream's clock was behind the product's then, which no line had told yet."""


class Evening:
    """The doubles, and what happens on them."""

    def __init__(self, segments: Sequence[OriginSegment]) -> None:
        self.clock = StreamClock()
        self.twitch = TwitchPlaylists(self.clock, segments)
        self.irc = TwitchIrc(time.time)
        self.events = EventSubDouble(lambda: self.clock.at_s, keepalive_s=20.0)
        self.events.unused_s = _PATIENCE_S
        self.helix = HelixDouble(now_s=time.time())
        self.login = TwitchLoginDouble(person=Person(f"id-{CONNECTED}", CONNECTED))
        self.account = self.events.add(
            Account(user_id=f"id-{CONNECTED}", login=CONNECTED, token="")
        )
        self.channels: dict[str, Channel] = {login: self.twitch.channel(login) for login in LOGINS}
        self.truth = {login: Truth() for login in LOGINS}
        self.url = ""
        self.live_s = 0.0
        """When the channels went live."""
        self.looks_until_found: dict[str, int] = {}
        self._said = 0

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[Evening]:
        """Serve all of Twitch at one address; its rules must be kept."""
        doubles = (self.twitch, self.irc, self.events, self.helix, self.login)
        async with serving(*doubles) as self.url:
            yield self
        assert [*self.twitch.violations, *self.irc.violations, *self.events.violations] == []

    @property
    def settings(self) -> tuple[str, ...]:
        """What the product must be told to find all of this."""
        socket = f"ws{self.url.removeprefix('http')}"
        named = {
            "twitch.gql_url": f"{self.url}/gql",
            "twitch.usher_url": self.url,
            "twitch.helix_url": f"{self.url}/helix",
            "twitch.id_url": f"{self.url}/oauth2",
            "twitch.eventsub_url": f"{socket}/ws",
            "twitch.client_id": self.login.client_id,
            "twitch.client_secret": self.login.client_secret,
            "twitch.flap_s": FLAP_S,
            "chat.irc.url": socket,
            "ingest.lost_after_s": FLAP_S,
            "ingest.resolve_every_s": 2,
            "clipper.live.cooldown_s": 5,
            "clipper.live.hold_s": 6,
        }
        return tuple(word for name, value in named.items() for word in ("--set", f"{name}={value}"))

    def allow(self) -> None:
        """Take the token that the login has just given out as good everywhere."""
        token = next(each for each in self.login.issued[::-1] if self.login.knows(each))
        self.account.token = token
        self.helix.allow(CONNECTED, token, *SCOPES)
        self.helix.live.add(CONNECTED)

    # --- the evening ----------------------------------------------------------------------------

    async def play(self) -> None:
        """Go live, and do everything until both channels are offline for good."""
        self.live_s = self.clock.at_s = time.time()
        looked = len(self.twitch.looked)
        for channel in self.channels.values():
            channel.go_live(f"broadcast-{channel.login}")
        await _until(lambda: all(map(self._heard, LOGINS)))
        for login in LOGINS:
            self.truth[login].begun_s = self.clock.at_s
            self.truth[login].lag_s = time.time() - self.clock.at_s
            found = [each for _, each in self.twitch.looked[looked:] if each == login]
            self.looks_until_found[login] = len(found)
        await self._talk_until(AD_S)
        self._each(lambda channel: channel.run_ad(AD_LENGTH_S))
        await self._talk_until(DROPPED_S, bursts_s=BURSTS_S[:2])
        await self._cut(self._drop)
        await self._talk_until(MOVED_S)
        self._malform()
        await self._move()
        await self._talk_until(RESTARTED_S)
        self._each(Channel.restart_encoder)
        await self._talk_until(REVOKED_S)
        await self._cut(self._revoke)
        await self._talk_until(AWAY_S)
        self._each(Channel.go_offline)
        await self._talk_until(BACK_S)
        self._each(Channel.come_back)
        await self._talk_until(OVER_S, bursts_s=BURSTS_S[2:])
        self._each(Channel.go_offline)

    def _each(self, happen: Callable[[Channel], None]) -> None:
        for channel in self.channels.values():
            happen(channel)

    async def _talk_until(self, until_s: float, *, bursts_s: Sequence[float] = ()) -> None:
        """Let people talk until a time of the stream."""
        bursts = list(bursts_s)
        next_s = self.clock.at_s
        while self.clock.at_s < self.live_s + until_s:
            if not all(channel.live for channel in self.channels.values()):
                self.clock()  # nobody asks for what is not there
            if bursts and self.clock.at_s >= self.live_s + bursts[0]:
                bursts.pop(0)
                for n in range(40):
                    await self.say(f"fan{n}", _WORDS[n % len(_WORDS)])
            if self.clock.at_s >= next_s:
                next_s = self.clock.at_s + 2.0
                await self.say(f"viewer{self._said % 7}", f"talk {self._said}", times=2)
            await asyncio.sleep(0.05)

    async def say(self, user: str, text: str, *, times: int = 1) -> None:
        """Have a line said in both channels, as often as Twitch tells it."""
        self._said += 1
        now_s = self.clock.at_s
        for login in LOGINS:
            name = f"{login}-{self._said}"
            by_events = login == CONNECTED and self.events.subscribed(login, CHAT)
            if self.irc.seated(login) or by_events:
                self.truth[login].delivered[name] = now_s
            else:
                self.truth[login].unheard.append(name)
            tags = f"@badges=;id={name};tmi-sent-ts={round(now_s * 1000)};user-id=2"
            line = f"{tags} :{user}!{user}@{user}.tmi.twitch.tv PRIVMSG #{login} :{text}"
            self.irc.say(login, line, times)
            for _ in range(times if by_events else 0):
                await self.events.say(
                    login, self.events.chat(login, text, message_id=name, by=user)
                )

    def _heard(self, login: str) -> bool:
        if login == CONNECTED and self.events.subscribed(login, CHAT):
            return True
        return bool(self.irc.seated(login))

    async def _cut(self, lose: Callable[[], object]) -> None:
        """Cut both chats off, and wait until they are heard again."""
        before_s = self.clock.at_s
        await _awaited(lose())
        await self.say("viewer1", "nobody hears this")
        await _until(lambda: all(map(self._heard, LOGINS)))
        for login in LOGINS:
            self.truth[login].cut_s.append((before_s, self.clock.at_s))

    async def _drop(self) -> None:
        await self.events.drop(CONNECTED, 4000)
        self.irc.drop()

    async def _revoke(self) -> None:
        self.login.take_back(self.account.user_id)
        await self.events.revoke(CONNECTED, CHAT)
        self.irc.drop()

    async def _move(self) -> None:
        await self.events.move(CONNECTED)
        for reader in list(self.irc.readers):
            self.irc.reconnect(reader)

    def _malform(self) -> None:
        for line in ("", "@", ":x!x PRIVMSG", "@id=1 :y!y@y PRIVMSG #bob", "\x00"):
            self.irc.say(ANONYMOUS, line)


def browser(page: str) -> httpx.AsyncClient:
    """Return a browser at the service's pages."""
    return httpx.AsyncClient(
        base_url=page.replace("127.0.0.1", "localhost"),
        follow_redirects=True,
        trust_env=False,
        timeout=_PATIENCE_S,
    )


async def connect(evening: Evening, web: httpx.AsyncClient) -> None:
    """Connect the account as a streamer does, from the page to Twitch's question and back."""
    evening.login.redirect_urls.add(f"{str(web.base_url).rstrip('/')}/connect/twitch/callback")
    form = {"form_token": await form_token(web, "/connect"), "scope": list(SCOPES)}
    answer = await web.post("/connect/twitch", data=form)
    assert answer.url.params["result"] == "connected", answer.text
    assert CONNECTED in answer.text
    evening.allow()


async def form_token(web: httpx.AsyncClient, page: str) -> str:
    """Return what a page's forms must send back."""
    return re.findall(r'name="form_token" value="([0-9a-f]+)"', (await web.get(page)).text)[0]


def kept_lines(folder: Path, session_id: str) -> list[dict[str, Any]]:
    """Return the lines of chat that a session's log keeps, below a data folder."""
    chunks = sorted(p for p in folder.rglob("chat-*.jsonl.gz") if session_id in str(p))
    text = b"".join(gzip.decompress(chunk.read_bytes()) for chunk in chunks)
    records = [json.loads(line) for line in text.splitlines()]
    return [record for record in records if "message_id" in record]


async def _awaited(made: object) -> None:
    if asyncio.iscoroutine(made):
        await made


async def _until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.02)
