"""streamlink's private names, as they are used here: what they are, and what they send.

When this fails after an update of streamlink, `ingest/twitch/streamlink_look.py` must follow.
"""

from __future__ import annotations

import inspect
import json
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from streamlink.plugins import twitch as plugin
from streamlink.session.http import HTTPSession

from ingest.errors import SourceGone, SourceUnusable
from ingest.twitch.names import TwitchChannel, TwitchVideo
from ingest.twitch.streamlink_look import GQL, USHER, About, Pass, ask_about, ask_pass
from store.twitch.settings import TwitchSettings
from tests.doubles.twitch.server import serving

ANN = TwitchChannel("ann")
TOKEN = json.dumps({"channel": "ann", "expires": 1})


def test_the_version_is_the_one_that_was_looked_at() -> None:
    assert version("streamlink").split(".")[:2] == ["8", "6"]


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (plugin.TwitchAPI.access_token, ["self", "is_live", "channel_or_vod", "client_integrity"]),
        (plugin.TwitchAPI.metadata_channel, ["self", "channel"]),
        (plugin.TwitchAPI.metadata_video, ["self", "video_id"]),
        (plugin.UsherService.channel, ["self", "channel", "extra_params"]),
        (plugin.UsherService.video, ["self", "video_id", "extra_params"]),
        (HTTPSession.mount, ["self", "prefix", "adapter"]),
    ],
)
def test_the_names_are_there(function: Any, names: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == names


class Gql:
    """Answers whatever the test says, and keeps what was sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], Any]] = []
        self.answer: Any = {"data": {"streamPlaybackAccessToken": None}}
        self.status = 200

    def attach(self, app: web.Application) -> None:
        app.router.add_post("/gql", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.headers), await request.json()))
        return web.json_response(self.answer, status=self.status)


async def ask(gql: Gql, what: TwitchChannel | TwitchVideo = ANN) -> Pass:
    import asyncio

    async with serving(gql) as url:
        settings = TwitchSettings(gql_url=f"{url}/gql", usher_url=url)
        return await asyncio.to_thread(ask_pass, what, settings)


async def ask_page(gql: Gql, what: TwitchChannel | TwitchVideo = ANN) -> About:
    import asyncio

    async with serving(gql) as url:
        settings = TwitchSettings(gql_url=f"{url}/gql", usher_url=url)
        return await asyncio.to_thread(ask_about, what, settings)


async def test_a_channels_pass_is_one_request_in_the_players_words() -> None:
    gql = Gql()
    gql.answer = {"data": {"streamPlaybackAccessToken": {"value": TOKEN, "signature": "s1"}}}
    opens = await ask(gql)
    [(headers, body)] = gql.asked
    assert headers["Client-ID"] == TwitchSettings().web_client_id
    assert "Authorization" not in headers
    assert body["operationName"] == "PlaybackAccessToken"
    assert len(body["extensions"]["persistedQuery"]["sha256Hash"]) == 64
    variables = body["variables"]
    assert (variables["isLive"], variables["isVod"]) == (True, False)
    assert (variables["login"], variables["vodID"]) == ("ann", "")
    parts = urlsplit(opens.url)
    assert parts.path == "/api/v2/channel/hls/ann.m3u8"
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert (query["sig"], query["token"]) == ("s1", TOKEN)
    assert query["supported_codecs"] == "h264,h265,av1"
    assert (query["allow_source"], query["fast_bread"]) == ("true", "True")
    assert {"referer", "origin", "User-Agent"} <= set(opens.headers)
    assert not {"Accept-Encoding", "Connection", "Authorization"} & set(opens.headers)
    assert TOKEN not in repr(opens)
    assert "s1" not in repr(opens)


async def test_a_vods_pass_opens_ushers_vod() -> None:
    gql = Gql()
    gql.answer = {"data": {"videoPlaybackAccessToken": {"value": TOKEN, "signature": "s1"}}}
    opens = await ask(gql, TwitchVideo("123"))
    [(_, body)] = gql.asked
    assert (body["variables"]["isVod"], body["variables"]["vodID"]) == (True, "123")
    parts = urlsplit(opens.url)
    assert parts.path == "/vod/v2/123.m3u8"
    query = parse_qs(parts.query)
    assert (query["nauthsig"], query["nauth"]) == (["s1"], [TOKEN])


def test_the_plugin_asks_where_we_think() -> None:
    source = inspect.getsource(plugin)
    assert f'"{GQL}"' in source
    assert f'"{USHER}{{endpoint}}"' in source


@pytest.mark.parametrize(
    ("status", "answer", "kind", "said"),
    [
        (200, {"data": {"streamPlaybackAccessToken": None}}, SourceUnusable, "no channel ann"),
        (200, {"errors": [{"message": "failed integrity check"}]}, SourceGone, "browser"),
        (200, {"errors": [{"message": "service timeout"}]}, SourceGone, "service timeout"),
        (200, {"errors": [{"message": "PersistedQueryNotFound"}]}, SourceUnusable, "update"),
        (401, {"error": "Unauthorized", "message": "no"}, SourceGone, "Unauthorized: no"),
        (429, {}, SourceGone, "too often"),
        (503, {}, SourceGone, "503"),
        (200, ["nonsense"], SourceGone, "does not answer"),
    ],
)
async def test_no_pass_is_sorted_and_asked_for_once(
    status: int, answer: Any, kind: type[Exception], said: str
) -> None:
    gql = Gql()
    gql.status, gql.answer = status, answer
    with pytest.raises(kind, match=said) as caught:
        await ask(gql)
    assert caught.type is kind
    assert len(gql.asked) == 1


async def test_a_page_tells_title_and_broadcast() -> None:
    gql = Gql()
    user = {"lastBroadcast": {"title": "chess"}, "stream": {"id": "b1", "game": None}}
    gql.answer = [{"data": {"userOrError": {"displayName": "Ann"}}}, {"data": {"user": user}}]
    assert await ask_page(gql) == About(broadcast_id="b1", title="chess")
    gql.answer = [{"data": {"userOrError": {}}}, {"data": {"user": None}}]
    assert await ask_page(gql) == About()
    owner = {"displayName": "Ann"}
    video = {"id": "123", "owner": owner, "title": "a night", "game": {"displayName": "Chess"}}
    gql.answer = {"data": {"video": video}}
    assert await ask_page(gql, TwitchVideo("123")) == About(title="a night")
