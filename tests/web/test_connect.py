"""Connecting Twitch from a browser: there, back, and everything that can go wrong between."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from store.obstore_objects import open_objects
from store.state.logins import LOGIN_S, LOGINS_MAX
from store.state.state import State
from tests.store.state.fresh import fresh_database
from tests.store.state.twitch_world import TwitchWorld, twitch_world
from tests.web.test_pages import ATTACKS, check_harmless
from web.app import make_app
from web.connect import TwitchAccess
from web.health import Health
from web.settings import WebSettings

HOME = "http://localhost:8420"
BACK = f"{HOME}/connect/twitch/callback"


class Browser:
    """One browser at one tenant's site."""

    def __init__(self, client: httpx.AsyncClient, world: TwitchWorld, changed: list[str]) -> None:
        self.client = client
        self.world = world
        self.changed = changed

    async def page(self, path: str = "/connect") -> str:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def token(self) -> str:
        found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await self.page())
        assert found is not None
        return found[1]

    async def press(self, *scopes: str) -> httpx.Response:
        form = {"form_token": await self.token(), "scope": list(scopes)}
        return await self.client.post("/connect/twitch", data=form)

    async def ask_twitch(self, *scopes: str) -> str:
        """Press the button, answer Twitch's question; returns where Twitch sends the browser."""
        sent = await self.press(*scopes)
        assert sent.status_code == 303, sent.text
        async with httpx.AsyncClient() as twitch:
            answer = await twitch.get(sent.headers["location"])
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def follow(self, address: str) -> str:
        """Come back from Twitch; returns the word of the result."""
        answer = await self.client.get(address)
        assert answer.status_code == 303, answer.text
        place = urlsplit(answer.headers["location"])
        assert (place.netloc, place.path) == ("", "/connect")
        return parse_qs(place.query)["result"][0]


@pytest.fixture
async def world() -> AsyncIterator[TwitchWorld]:
    async with twitch_world() as serving:
        serving.double.redirect_urls.add(BACK)
        yield serving


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with State.open(await fresh_database(tmp_path)) as opened:
        yield opened


@asynccontextmanager
async def browsing(
    world: TwitchWorld, state: State, tenant_id: str = "acme", home: str = HOME, **settings: object
) -> AsyncIterator[Browser]:
    changed: list[str] = []
    app = make_app(
        state,
        open_objects("memory://"),
        WebSettings(**{"media_secret": "for tests", **settings}),  # type: ignore[arg-type]
        lambda: Health(ok=True),
        lambda: b"",
        tenant_id=tenant_id,
        twitch=TwitchAccess(
            accounts=world.accounts(state, tenant_id=tenant_id),
            logins=world.logins(state, tenant_id=tenant_id),
            changed=changed.append,
        ),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=home) as client:
        yield Browser(client, world, changed)


@pytest.fixture
async def browser(world: TwitchWorld, state: State) -> AsyncIterator[Browser]:
    async with browsing(world, state) as opened:
        yield opened


async def test_the_page_says_what_connecting_gives(browser: Browser) -> None:
    page = check_harmless(await browser.page())
    assert "Any channel can be watched without connecting" in page.text
    boxes = [each["value"] for each in page.named("input") if each.get("type") == "checkbox"]
    assert boxes == ["user:read:chat", "clips:edit"]
    assert BACK in page.text


@pytest.mark.parametrize("pkce", [True, False])
async def test_there_and_back(browser: Browser, state: State, pkce: bool) -> None:
    browser.world.double.pkce = pkce
    address = await browser.ask_twitch("user:read:chat")
    asked = browser.world.double.asked[0]
    assert asked["scope"] == "user:read:chat"
    assert asked["redirect_uri"] == BACK
    assert ("code_challenge" in asked) == pkce
    assert "force_verify" not in asked
    assert browser.changed == []
    assert await browser.follow(address) == "connected"
    assert browser.changed == ["streamer"]
    page = check_harmless(await browser.page("/connect?result=connected"))
    assert "Twitch is connected" in page.text
    assert "streamer" in page.text
    token = await browser.world.accounts(state).of("streamer")
    assert token is not None
    assert token.scopes == {"user:read:chat"}
    assert browser.world.double.knows(token.access_token)


async def test_a_further_permission_is_asked_for_again(browser: Browser, state: State) -> None:
    await browser.follow(await browser.ask_twitch("user:read:chat"))
    await browser.follow(await browser.ask_twitch("user:read:chat", "clips:edit"))
    assert browser.world.double.asked[1]["force_verify"] == "true"
    token = await browser.world.accounts(state).of("streamer")
    assert token is not None
    assert token.scopes == {"user:read:chat", "clips:edit"}


async def test_nothing_else_is_ever_asked_for(browser: Browser) -> None:
    await browser.ask_twitch("user:read:chat", "channel:manage:broadcast", "user:read:email")
    assert browser.world.double.asked[0]["scope"] == "user:read:chat"
    nothing = await browser.press("channel:manage:broadcast")
    assert nothing.headers["location"] == "/connect?result=nothing"


async def test_a_no_is_taken(browser: Browser, state: State) -> None:
    browser.world.double.allows = False
    assert await browser.follow(await browser.ask_twitch("clips:edit")) == "denied"
    assert await browser.world.accounts(state).views() == []


async def test_a_state_is_good_once(browser: Browser, state: State) -> None:
    address = await browser.ask_twitch("clips:edit")
    assert await browser.follow(address) == "connected"
    assert await browser.follow(address) == "expired"
    assert await browser.follow(f"{BACK}?state=made-up&code=stolen") == "expired"
    assert await browser.follow(f"{BACK}?code=stolen") == "expired"
    assert await browser.follow(f"{BACK}?state={'x' * 5000}&code=stolen") == "expired"
    assert await browser.follow(BACK) == "expired"


async def test_a_state_is_good_in_its_own_browser(
    browser: Browser, world: TwitchWorld, state: State
) -> None:
    address = await browser.ask_twitch("clips:edit")
    async with browsing(world, state) as victim:
        assert await victim.follow(address) == "expired"
        await victim.page()
        assert await victim.follow(address) == "expired"
    async with browsing(world, state, "other") as stranger:
        stranger.client.cookies = browser.client.cookies
        assert await stranger.follow(address) == "expired"
    assert await browser.follow(address) == "connected"


async def test_a_state_is_good_for_ten_minutes(browser: Browser) -> None:
    late = await browser.ask_twitch("clips:edit")
    browser.world.clock.now_s += LOGIN_S
    assert await browser.follow(late) == "expired"


async def test_a_code_of_another_is_refused(browser: Browser) -> None:
    address = await browser.ask_twitch("clips:edit")
    state = parse_qs(urlsplit(address).query)["state"][0]
    assert await browser.follow(f"{BACK}?state={state}&code=made-up") == "refused"
    address = await browser.ask_twitch("clips:edit")
    other = await browser.ask_twitch("clips:edit")
    code = parse_qs(urlsplit(address).query)["code"][0]
    mixed = parse_qs(urlsplit(other).query)["state"][0]
    # PKCE: a code belongs to the login that it was asked for with.
    assert await browser.follow(f"{BACK}?state={mixed}&code={code}") == "refused"


async def test_an_unreachable_twitch_is_told(browser: Browser) -> None:
    address = await browser.ask_twitch("clips:edit")
    browser.world.double.broken = 503
    assert await browser.follow(address) == "unreachable"


async def test_an_unreachable_twitch_is_told_before_leaving(browser: Browser) -> None:
    browser.world.double.broken = 502
    sent = await browser.press("clips:edit")
    assert sent.headers["location"] == "/connect?result=unreachable"


async def test_forms_of_strangers_are_refused(browser: Browser, world: TwitchWorld) -> None:
    await browser.follow(await browser.ask_twitch("clips:edit"))
    good = await browser.token()
    for path in ("/connect/twitch", "/connect/twitch/1001/disconnect"):
        for form in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "é"}):
            answer = await browser.client.post(path, data={**form, "scope": "clips:edit"})
            assert answer.status_code == 403
        answer = await browser.client.post(path, data={"form_token": good, "pad": "x" * 20_000})
        assert answer.status_code == 413
    cookies, browser.client.cookies = browser.client.cookies, httpx.Cookies()
    answer = await browser.client.post("/connect/twitch", data={"form_token": good})
    assert answer.status_code == 403
    browser.client.cookies = cookies
    assert world.double.revoked == []


async def test_disconnecting(browser: Browser, world: TwitchWorld, state: State) -> None:
    await browser.follow(await browser.ask_twitch("clips:edit"))
    async with browsing(world, state, "other") as stranger:
        form = {"form_token": await stranger.token()}
        await stranger.client.post("/connect/twitch/1001/disconnect", data=form)
    assert len(await world.accounts(state).views()) == 1
    form = {"form_token": await browser.token()}
    answer = await browser.client.post("/connect/twitch/1001/disconnect", data=form)
    assert answer.headers["location"] == "/connect?result=disconnected"
    assert await world.accounts(state).views() == []
    assert len(world.double.revoked) == 1
    assert browser.changed == ["streamer", "streamer"]


async def test_a_gone_permission_is_told_on_the_pages(
    browser: Browser, world: TwitchWorld, state: State
) -> None:
    await browser.follow(await browser.ask_twitch("clips:edit"))
    assert "reconnect Twitch" not in await browser.page("/")
    await world.accounts(state).revoked("1001")
    for path in ("/", "/connect"):
        page = check_harmless(await browser.page(path))
        assert "reconnect Twitch" in page.text
        assert "read anonymously" in page.text
    assert await browser.follow(await browser.ask_twitch("clips:edit")) == "connected"
    assert "reconnect Twitch" not in await browser.page("/")


async def test_an_app_that_is_not_set_up_says_how(world: TwitchWorld, state: State) -> None:
    world.double.client_secret = ""
    async with browsing(world, state) as browser:
        page = check_harmless(await browser.page())
        assert "dev.twitch.tv/console" in page.text
        assert BACK in page.text
        assert "client_secret" in page.text
        assert page.named("form") == []


async def test_the_cookie_and_the_policy(browser: Browser) -> None:
    answer = await browser.client.get("/connect")
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(r"clipthat=[\w-]{43}; HttpOnly; Path=/; SameSite=lax", cookie)
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    origin = browser.world.address
    assert policy["form-action"] == f"'self' {origin} https://www.twitch.tv {HOME}"
    home = await browser.client.get("/")
    assert "form-action 'none'" in home.headers["content-security-policy"]
    assert "set-cookie" not in home.headers


async def test_behind_a_public_address(world: TwitchWorld, state: State) -> None:
    public = "https://clips.example.com"
    back = f"{public}/connect/twitch/callback"
    world.double.redirect_urls = {back}
    async with browsing(world, state, home=public, public_url=f"{public}/") as browser:
        cookie = (await browser.client.get("/connect")).headers["set-cookie"]
        assert cookie.startswith("__Host-clipthat=")
        assert cookie.endswith("; HttpOnly; Path=/; SameSite=lax; Secure")
        address = await browser.ask_twitch("clips:edit")
        assert address.startswith(f"{back}?")
        assert await browser.follow(address) == "connected"


async def test_the_number_leads_to_the_name(world: TwitchWorld, state: State) -> None:
    async with browsing(world, state, home="http://127.0.0.1:8420") as browser:
        answer = await browser.client.get("/connect")
        assert answer.headers["location"] == f"{HOME}/connect"
    async with browsing(
        world, state, home="http://192.168.1.5:8420", allowed_hosts=("*",)
    ) as browser:
        page = check_harmless(await browser.page())
        assert "public_url" in page.text
        assert page.named("form") == []


async def test_strangers_words_stay_words(browser: Browser, world: TwitchWorld) -> None:
    for attack in ATTACKS:
        world.double.person.login = attack
        await browser.follow(await browser.ask_twitch("clips:edit"))
        check_harmless(await browser.page())
        answer = await browser.client.get("/connect", params={"result": attack})
        check_harmless(answer.text)


async def test_logins_under_way_are_limited(world: TwitchWorld, state: State) -> None:
    logins = world.logins(state)
    urls = []
    for _ in range(LOGINS_MAX + 3):
        world.clock.now_s += 1.0
        urls.append(await logins.begin("b" * 43, {"clips:edit"}, BACK, ask=False))
    states = [parse_qs(urlsplit(url).query)["state"][0] for url in urls]
    taken = [await logins.take(each, "b" * 43) is not None for each in states]
    assert taken == [False] * 3 + [True] * LOGINS_MAX
