"""The watch list in a browser: what a person writes, switches and takes away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bus import events as ev
from ops.watchlist import read_place
from store.obstore_objects import open_objects
from store.state.apply import record
from store.state.state import State
from store.state.tables import TwitchAccountRow
from store.state.watchlist import CHANNELS_MAX, Listed, Place, Watchlist
from tests.store.state.fresh import fresh_database
from tests.store.state.story import records, story
from tests.store.state.twitch_world import TwitchWorld, twitch_world
from tests.web.test_pages import ATTACKS, Tags, check_harmless
from web.app import make_app
from web.connect import TwitchAccess
from web.health import Health
from web.settings import WebSettings

NOW_S = 1_000_000.0


@dataclass
class Browser:
    """One browser at one tenant's site."""

    client: httpx.AsyncClient
    state: State
    fixed: list[Listed] = field(default_factory=list)

    @property
    def watchlist(self) -> Watchlist:
        """The tenant's list, as the service changes it."""
        return Watchlist(self.state, tenant_id="acme")

    async def page(self, path: str = "/channels") -> Tags:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return check_harmless(answer.text)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        answer = await self.client.get("/channels")
        found = re.search(r'name="form_token" value="([0-9a-f]{64})"', answer.text)
        assert found is not None
        return await self.client.post(path, data={"form_token": found[1], **fields})

    async def add(self, text: str) -> Place:
        answer = await self.post("/channels", channel=text)
        assert answer.status_code == 303, answer.text
        return read_place(text)

    async def connect(self, login: str, *scopes: str, status: str = "connected") -> None:
        """Have an account stand in the database, as the connect page leaves it."""
        async with self.state.writing() as session:
            row = TwitchAccountRow(
                tenant_id="acme", user_id=f"id-{login}", login=login,
                scopes=list(scopes), status=status,
            )  # fmt: skip
            await session.merge(row)

    async def switch(self, name: str, label: str) -> dict[str, str | None]:
        """Return a switch of a channel."""
        (found,) = [
            each
            for each in (await self.page()).named("button")
            if each.get("aria-label") == f"{label}: {name}"
        ]
        return found


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with State.open(await fresh_database(tmp_path)) as opened:
        yield opened


@pytest.fixture
async def twitch() -> AsyncIterator[TwitchWorld]:
    async with twitch_world() as serving:
        yield serving


def open_browser(state: State, twitch: TwitchWorld | None, tenant_id: str = "acme") -> Browser:
    fixed: list[Listed] = []
    access = twitch and TwitchAccess(
        accounts=twitch.accounts(state, tenant_id=tenant_id),
        logins=twitch.logins(state, tenant_id=tenant_id),
    )
    app = make_app(
        state,
        open_objects("memory://"),
        WebSettings(media_secret="for tests"),
        lambda: Health(ok=True),
        lambda: b"",
        tenant_id=tenant_id,
        twitch=access,
        read_place=read_place,
        fixed=lambda: fixed,
        clock=lambda: NOW_S,
    )
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8420")
    return Browser(client, state, fixed)


@pytest.fixture
async def browser(state: State, twitch: TwitchWorld) -> AsyncIterator[Browser]:
    opened = open_browser(state, twitch)
    async with opened.client:
        yield opened


async def test_an_empty_list_says_what_to_do(browser: Browser) -> None:
    page = await browser.page()
    assert "No channel yet" in page.text
    assert "nothing has to be connected" in page.text
    assert [each["href"] for each in page.named("a")][:4] == ["/", "/", "/channels", "/connect"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Somebody", "somebody"),
        (" @SOMEBODY", "somebody"),
        ("twitch.tv/somebody", "somebody"),
        ("https://www.twitch.tv/Somebody?referrer=x", "somebody"),
        ("https://user:secret@example.com/a.m3u8?token=secret", "example.com/a.m3u8"),
    ],
)
async def test_a_channel_is_added_however_it_is_written(
    browser: Browser, text: str, shown: str
) -> None:
    answer = await browser.post("/channels", channel=text)
    assert answer.status_code == 303
    page = await browser.page(answer.headers["location"])
    assert f"{shown} is on the list" in page.text
    assert "connecting" in page.text
    assert "secret" not in page.text
    (watched,) = await browser.watchlist.listed()
    assert watched.place == read_place(text)
    again = await browser.post("/channels", channel=text)
    assert "stands on the list already" in (await browser.page(again.headers["location"])).text
    assert len(await browser.watchlist.listed()) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Write a channel's name"),
        ("two words", "neither a channel's name"),
        ("https://www.twitch.tv/videos/12345", "clipthat vod"),
        ("https://youtube.com/@somebody", "ends in .m3u8"),
        ("x" * 2001, "too long"),
        *((attack, "neither") for attack in ATTACKS),
    ],
)
async def test_what_is_refused_stays_in_the_field_with_the_reason(
    browser: Browser, text: str, says: str
) -> None:
    answer = await browser.post("/channels", channel=text)
    assert answer.status_code == 422
    page = check_harmless(answer.text)
    assert says in page.text
    (asked,) = [each for each in page.named("input") if each.get("name") == "channel"]
    assert asked["value"] == text
    assert asked["aria-invalid"] == "true"
    assert await browser.watchlist.listed() == []


async def test_a_full_list_says_so(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CHANNELS_MAX >= 200
    monkeypatch.setattr("store.state.watchlist.CHANNELS_MAX", 1)
    await browser.add("one")
    answer = await browser.post("/channels", channel="two")
    assert answer.status_code == 422
    assert "remove one first" in answer.text


async def test_forms_of_strangers_are_refused(browser: Browser) -> None:
    place = await browser.add("somebody")
    own = f"/channels/{place.id}"
    for path in ("/channels", f"{own}/always", f"{own}/native-clips", f"{own}/remove"):
        for form in ({}, {"form_token": "0" * 64}, {"form_token": "é"}):
            answer = await browser.client.post(path, data={**form, "channel": "x", "on": "no"})
            assert answer.status_code == 403, path
    (watched,) = await browser.watchlist.listed()
    assert watched.always


async def test_watching_is_switched_off_and_on(browser: Browser) -> None:
    place = await browser.add("somebody")
    assert (await browser.switch("somebody", "Always watch"))["aria-checked"] == "true"
    answer = await browser.post(f"/channels/{place.id}/always", on="no")
    assert answer.headers["location"] == "/channels"
    assert (await browser.switch("somebody", "Always watch"))["aria-checked"] == "false"
    assert "not watched" in (await browser.page()).text
    await browser.post(f"/channels/{place.id}/always", on="yes")
    assert (await browser.watchlist.listed())[0].always


async def test_twitch_clips_need_a_connected_account_that_allows_them(browser: Browser) -> None:
    place = await browser.add("somebody")
    path = f"/channels/{place.id}/native-clips"
    for scopes, status, says in [
        ((), "", "connect this channel"),
        (("user:read:chat",), "connected", "allow clips"),
        (("clips:edit",), "reconnect", "reconnect this channel"),
    ]:
        if status:
            await browser.connect("somebody", *scopes, status=status)
        assert "disabled" in await browser.switch("somebody", "Make a Twitch clip too")
        page = await browser.page()
        assert says in page.text
        assert "/connect" in [each["href"] for each in page.named("a")][4:]
        assert (await browser.post(path, on="yes")).status_code == 409
    assert "Reconnect Twitch" in page.text
    await browser.connect("somebody", "clips:edit")
    assert "disabled" not in await browser.switch("somebody", "Make a Twitch clip too")
    assert (await browser.post(path, on="yes")).status_code == 303
    assert await browser.watchlist.clipped_on_twitch(place.id) == "somebody"
    # What is switched on can be switched off, though the permission is gone.
    await browser.connect("somebody", status="reconnect")
    assert "disabled" not in await browser.switch("somebody", "Make a Twitch clip too")
    assert (await browser.post(path, on="no")).status_code == 303
    assert await browser.watchlist.clipped_on_twitch(place.id) is None


async def test_a_playlist_has_no_twitch_clips(browser: Browser) -> None:
    await browser.add("https://example.com/a.m3u8")
    assert "Twitch clip" not in (await browser.page()).text


async def test_where_nothing_can_be_connected_nothing_leads_there(state: State) -> None:
    browser = open_browser(state, None)
    async with browser.client:
        await browser.add("somebody")
        page = await browser.page()
    assert "/connect" not in [each["href"] for each in page.named("a")]
    assert "connect this channel" in page.text


async def test_removing_is_asked_first_and_keeps_sessions_and_clips(browser: Browser) -> None:
    place = await browser.add("somebody")
    own = f"/channels/{place.id}/remove"
    asks = await browser.page(own)
    assert "Remove somebody?" in asks.text
    assert "Its sessions and clips stay" in asks.text
    await record(browser.state, records(story()))
    answer = await browser.post(own)
    page = await browser.page(answer.headers["location"])
    assert "somebody is off the list" in page.text
    assert await browser.watchlist.listed() == []
    assert (await browser.client.get("/sessions/s1")).status_code == 200
    assert (await browser.client.get(own)).status_code == 404
    assert (await browser.post(own)).status_code == 404
    assert (await browser.post(f"/channels/{place.id}/always", on="no")).status_code == 404


async def test_another_tenants_channel_is_not_there(
    browser: Browser, state: State, twitch: TwitchWorld
) -> None:
    place = await browser.add("somebody")
    stranger = open_browser(state, twitch, "other")
    async with stranger.client:
        assert "somebody" not in (await stranger.page()).text
        for what in ("always", "native-clips", "remove"):
            answer = await stranger.post(f"/channels/{place.id}/{what}", on="no")
            assert answer.status_code == 404
    (watched,) = await browser.watchlist.listed()
    assert watched.always


@pytest.mark.parametrize(
    ("state_word", "detail", "says"),
    [
        ("", "", "connecting"),
        ("connecting", "", "connecting"),
        ("offline", "waiting", "offline"),
        ("unusable", "it is for subscribers", "it is for subscribers"),
        ("broken", "ValueError: x", "cannot be watched"),
        ("watching", "", "live"),
        *(("unusable", attack, attack) for attack in ATTACKS),
    ],
)
async def test_how_a_channel_stands(
    browser: Browser, state_word: str, detail: str, says: str
) -> None:
    place = await browser.add("somebody")
    await browser.watchlist.tell(place.id, state_word, detail)
    assert says in (await browser.page()).text


async def test_since_when_it_is_live_and_where(browser: Browser) -> None:
    place = await browser.add("somebody")
    await browser.watchlist.tell(place.id, "watching", "")
    started = ev.SessionStarted(
        tenant_id="acme", channel_id=place.id, session_id="now", kind="live", title="", source="",
        has_chat=False, started_at_s=NOW_S - 75.0,
    )  # fmt: skip
    await record(browser.state, records([started]))
    page = await browser.page()
    assert "live for 1:15" in page.text
    assert "/sessions/now" in [each["href"] for each in page.named("a")]
    assert "session that runs ends now" in (await browser.page(f"/channels/{place.id}/remove")).text
    # While people look, the page is asked for again.
    assert [each["data-refresh-ms"] for each in page.named("main")] != ["0"]


async def test_what_the_settings_name_is_shown_and_cannot_be_taken_away(browser: Browser) -> None:
    fixed = read_place("fixed")
    browser.fixed.append(Listed(place=fixed, state="offline", detail="no stream"))
    page = await browser.page()
    assert "from the settings" in page.text
    assert "offline" in page.text
    assert len(page.named("form")) == 1
    assert (await browser.client.get(f"/channels/{fixed.id}/remove")).status_code == 404
    assert (await browser.post(f"/channels/{fixed.id}/always", on="no")).status_code == 404
    # Put on the list as well, it can have clips made on Twitch, and be taken off again.
    await browser.add("fixed")
    page = await browser.page()
    assert page.text.count("from the settings") == 1
    labels = [each.get("aria-label") for each in page.named("button")]
    assert labels == [None, "Make a Twitch clip too: fixed"]
    assert "watched on" in (await browser.page(f"/channels/{fixed.id}/remove")).text
