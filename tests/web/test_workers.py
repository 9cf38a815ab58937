"""Who watches what, and what waits for whom, as a person sees it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bus.events import ClipPlanned, Event, RenderProgressed, RenderQueued, SessionStarted
from ops.watchlist import read_place
from store.channel_work import ChannelWork
from store.lease_settings import LeaseSettings
from store.leases import Kind, Lease, Pool, Want
from store.obstore_objects import open_objects
from store.state.apply import record
from store.state.fleet import ChannelStand, Waiting
from store.state.fleet_views import FleetViews
from store.state.watchlist import Place, Watchlist
from tests.store.leases.world import CONTROL, TENANT, World, open_world, queued, work
from tests.store.state.fresh import fresh_database
from tests.store.state.story import records
from tests.web.test_pages import ATTACKS, Tags, check_harmless
from web.app import make_app
from web.control import ControlAccess
from web.fleet_words import unwatched
from web.health import Health
from web.settings import WebSettings

SECRET_URL = "https://user:password@example.test/live.m3u8?token=secret"


@dataclass
class Pages:
    """The pages of a control plane, and its workers."""

    world: World
    client: httpx.AsyncClient
    held: dict[str, list[Lease]] = field(default_factory=dict)

    async def page(self, path: str = "/workers") -> Tags:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        assert "secret" not in answer.text
        assert "password" not in answer.text
        return check_harmless(answer.text)

    async def text(self, path: str = "/workers") -> str:
        """Return a page's words, with one space between them."""
        return " ".join((await self.page(path)).text.split())

    async def take(
        self, name: str, slots: int = 1, *, kind: Kind = "ingest", pool: Pool = "cpu", **told: bool
    ) -> list[Lease]:
        """Have a worker take what it has room for."""
        held = self.held.setdefault(name, [])
        want = Want(kind=kind, capacity=slots - len(held), slots=slots, pool=pool, **told)
        held += await self.world.book.acquire(name, want)
        return held

    async def want(self, *names: str) -> list[Place]:
        """Have channels watched, and on the list."""
        places = [read_place(name) for name in names]
        for place in places:
            one = ChannelWork(id=place.id, name=place.name, url=SECRET_URL, kind=place.kind)
            await self.world.book.want("ingest", place.id, one.as_json())
            await Watchlist(self.world.state, tenant_id=TENANT).add(place)
        return places

    async def want_render(self, pool: str = "cpu") -> None:
        """Have a clip's output made, and told on the pages."""
        own = {"tenant_id": TENANT, "channel_id": "ch1", "session_id": "s1"}
        event: RenderQueued = queued("r1", clip_id="clip-r1")
        told: list[Event] = [
            SessionStarted(**own, kind="live", title="Ranked", source="x"),
            ClipPlanned(
                **own, clip_id="clip-r1", start_s=1, peak_s=2, end_s=3, score=0.5,
                kinds=("lively",), moment_ids=(), evidence=(), title="Clutch",
            ),
            event,
            RenderProgressed(**own, render_id="r1", clip_id="clip-r1", percent=45),
        ]  # fmt: skip
        await record(self.world.state, records(told))
        await self.world.book.want(
            "render", "r1", work(event), pool="gpu" if pool == "gpu" else "cpu"
        )

    def passes(self, seconds: float) -> None:
        self.world.clock.now_s += seconds

    async def beat(self, name: str) -> None:
        await self.world.book.heartbeat(name, self.held[name])


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    settings = LeaseSettings(gpu_wait_s=60.0)
    async with open_world(await fresh_database(tmp_path), settings=settings) as world:
        yield open_pages(world)


def open_pages(world: World, *, roles: bool = True, tenant_id: str = TENANT) -> Pages:
    app = make_app(
        world.state,
        open_objects("memory://"),
        WebSettings(media_secret="for tests"),
        lambda: Health(ok=True),
        lambda: b"",
        tenant_id=tenant_id,
        read_place=read_place,
        control=ControlAccess(book=world.book, settings=CONTROL) if roles else None,
        clock=lambda: world.clock.now_s,
    )
    transport = httpx.ASGITransport(app)
    return Pages(world, httpx.AsyncClient(transport=transport, base_url="http://localhost:8420"))


def links(page: Tags) -> list[str | None]:
    return [each["href"] for each in page.named("a")]


async def test_workers_are_in_the_navigation_once_one_has_been_there(pages: Pages) -> None:
    assert "/workers" not in links(await pages.page("/"))
    text = await pages.text()
    assert "No worker is there, and nothing waits for one." in text
    assert "clipthat run --roles ingest" in text
    await pages.take("box:ingest:7-ab")
    for path in ("/", "/channels", "/workers"):
        assert links(await pages.page(path))[1:4] == ["/", "/channels", "/workers"]
    # It stays when the last one is long forgotten, as long as anything was ever taken.
    await pages.want("ann")
    await pages.take("box:ingest:7-ab")
    pages.passes(10_000)
    await pages.world.book.sweep()
    assert "/workers" in links(await open_pages(pages.world).page("/"))


async def test_where_one_process_does_everything_there_is_nothing_of_it(pages: Pages) -> None:
    (place,) = await pages.want("ann")
    await pages.take("box:ingest:7-ab")
    await started(pages, place)
    alone = open_pages(pages.world, roles=False)
    for path in ("/", "/channels", "/sessions/s9"):
        assert "worker" not in (await alone.text(path)).lower()
        assert "watched by" not in await alone.text(path)
    assert (await alone.client.get("/workers")).status_code == 404
    assert (await alone.client.get("/api/workers")).status_code == 404


async def started(pages: Pages, place: Place) -> None:
    """Have a channel's session run."""
    event = SessionStarted(
        tenant_id=TENANT, channel_id=place.id, session_id="s9", kind="live", title="Now",
        source="twitch.tv/ann",
    )  # fmt: skip
    await record(pages.world.state, records([event]))
    await Watchlist(pages.world.state, tenant_id=TENANT).tell(place.id, "watching", "")


async def test_every_page_of_a_live_channel_says_who_watches_it_and_since_when(
    pages: Pages,
) -> None:
    (place,) = await pages.want("ann")
    await pages.take("box:ingest:7-ab", 50)
    await started(pages, place)
    for path in ("/", "/channels", "/sessions/s9"):
        page = await pages.page(path)
        assert re.search(r"watched by box\s+since 22:13 UTC", page.text), path
        assert "/workers#worker-box%3Aingest%3A7-ab" in links(page)
        assert page.named("time")[0]["datetime"] == "2023-11-14T22:13:20Z"
    pages.passes(100_000)
    await pages.beat("box:ingest:7-ab")
    assert "watched by box since 14 Nov, 22:13 UTC" in await pages.text("/sessions/s9")


@pytest.mark.parametrize("path", ["/", "/channels"])
async def test_a_channel_without_a_worker_says_what_to_do(pages: Pages, path: str) -> None:
    await pages.want("ann")
    text = await pages.text(path)
    assert "No ingest worker is there that takes work." in text
    assert "Start one: clipthat run --roles ingest" in text
    await pages.take("box:ingest:7-ab", 1)
    assert "Start" not in await pages.text("/channels")
    await pages.want("ben")
    text = await pages.text(path)
    assert "Every ingest worker is full. Start another: clipthat run --roles ingest, or" in text
    assert "ingest.channels_max" in text
    assert "1 channel waits for a worker." in await pages.text()
    await pages.take("two:ingest:8-cd", 5)
    assert "Start" not in await pages.text(path)
    assert "2 workers are there, and nothing waits in vain." in await pages.text()


async def test_a_silent_workers_channel_says_when_another_one_takes_over(pages: Pages) -> None:
    (place,) = await pages.want("ann")
    await pages.take("box:ingest:7-ab", 5)
    await started(pages, place)
    pages.passes(9)
    silent = "box has it, and has not been heard of for 9 s. In 6 s its lease is over, and"
    for path in ("/", "/channels", "/sessions/s9", "/workers"):
        text = await pages.text(path)
        assert f"{silent} no other worker is there to take over." in text
        assert "Start one: clipthat run --roles ingest" in text
    assert "silent for 9 s" in await pages.text()
    await pages.take("two:ingest:8-cd", 5)
    assert f"{silent} another worker takes over." in await pages.text("/channels")
    pages.passes(6)
    text = await pages.text()
    assert "gone" in text
    assert "heard of less than a minute ago" in text
    assert "silent for" not in text
    await pages.take("two:ingest:8-cd", 5)
    assert "watched by two" in await pages.text("/sessions/s9")


async def test_a_worker_that_drains_is_told_until_it_has_left(pages: Pages) -> None:
    await pages.want("ann", "ben")
    (ann, _) = await pages.take("box:ingest:7-ab", 2)
    await pages.world.book.release("box:ingest:7-ab", ann, "drain")
    pages.held["box:ingest:7-ab"].remove(ann)
    want = Want(kind="ingest", capacity=0, slots=2, draining=True)
    await pages.world.book.acquire("box:ingest:7-ab", want)
    text = await pages.text()
    assert "draining" in text
    assert "takes nothing more" in text
    assert "No ingest worker is there that takes work." in text
    (ben,) = pages.held["box:ingest:7-ab"]
    await pages.world.book.release("box:ingest:7-ab", ben, "drain")
    text = await pages.text()
    assert "There no more box ingest, pool cpu, process 7-ab has left" in text
    assert "draining" not in text


async def test_what_each_worker_holds_leads_to_its_page(pages: Pages) -> None:
    place, _ = await pages.want("ann", "ben")
    await started(pages, place)
    await pages.want_render()
    await pages.take("box:ingest:7-ab", 50)
    await pages.take("box:render:7-cd", 4, kind="render")
    pages.passes(7)
    await pages.beat("box:ingest:7-ab")
    await pages.beat("box:render:7-cd")
    page = await pages.page()
    assert {"/sessions/s9", "/sessions/s1#clip-clip-r1"} <= set(links(page))
    text = " ".join(page.text.split())
    assert "2 of 50 channels" in text
    assert "ann for less than a minute ben not live, for less than a minute" in text
    assert "1 of 4 renders" in text
    assert "Clutch, vertical 45 %, for less than a minute" in text
    bars = [(each["value"], each["max"]) for each in page.named("progress")]
    assert bars == [("2", "50"), ("1", "4")]
    # People look at it for long: it is asked for again, and only what changes is exchanged.
    assert page.named("main")[0]["data-refresh-ms"] == "2000"
    assert await pages.text() == text


async def test_a_render_for_a_gpu_says_when_others_take_it(pages: Pages) -> None:
    await pages.want_render("gpu")
    text = await pages.text()
    assert "1 render for a GPU" in text
    assert "No render worker is there that takes work. Start one: clipthat run" in text
    await pages.world.book.acquire("g", Want(kind="render", capacity=0, pool="gpu", draining=True))
    await pages.world.book.acquire("c", Want(kind="render", capacity=0, slots=1))
    pages.passes(5)
    text = await pages.text()
    assert "Kept for a worker with a GPU for 55 s; then others take it." in text
    assert "nothing waits in vain" in text


async def test_renders_by_pool(pages: Pages) -> None:
    await pages.want_render("gpu")
    await pages.take("box:render:7-cd", 4, kind="render")
    page = await pages.page()
    assert re.search(r"gpu\s*0\s*1\s*1 by other pools\s*0\s*0 of 0", page.text)
    assert re.search(r"cpu\s*0\s*0\s*1\s*1 of 4", page.text)
    assert len([each for each in page.named("th") if each.get("scope") == "col"]) == 5


async def test_programs_are_told_the_same(pages: Pages) -> None:
    (place,) = await pages.want("ann")
    await started(pages, place)
    await pages.take("box:ingest:7-ab", 50)
    await pages.want("ben")
    pages.passes(3)
    told = (await pages.client.get("/api/workers")).json()
    (worker,) = told["workers"]
    assert worker.pop("holds") == [
        {
            "id": place.id, "name": "ann", "held_s": 3.0, "session_id": "s9",
            "clip_id": "", "layout": "", "percent": 0,
        }
    ]  # fmt: skip
    assert worker == {
        "kind": "ingest",
        "name": "box:ingest:7-ab",
        "machine": "box",
        "pool": "cpu",
        "state": "at_work",
        "used": 1,
        "slots": 50,
        "silent_s": 3.0,
    }
    (waiting,) = told["waiting"]
    assert (waiting["kind"], waiting["count"], waiting["reason"]) == ("ingest", 1, "soon")
    assert waiting["oldest_s"] == 3.0
    assert told["renders"] == []
    paths = (await pages.client.get("/api/openapi.json")).json()["paths"]
    assert "/api/workers" in paths
    assert "/workers" not in paths


def test_channels_that_wait_for_the_same_reason_are_told_as_one() -> None:
    def stand(reason: str, oldest_s: float, worker: str = "") -> ChannelStand:
        return ChannelStand(
            waiting=Waiting(
                kind="ingest", pool="cpu", count=1, oldest_s=oldest_s, reason=reason, worker=worker,
                in_s=oldest_s,
            )
        )  # fmt: skip

    stands = [
        ChannelStand(worker="box"),
        stand("soon", 1),
        *(stand("full", seconds) for seconds in (3, 9, 4)),
        *(stand("silent", seconds, "box") for seconds in (8, 9)),
        stand("silent", 8, "other"),
    ]
    told = [(one.reason, one.count, one.oldest_s, one.in_s) for one in unwatched(stands)]
    assert told == [("full", 3, 9, 9), ("silent", 2, 9, 9), ("silent", 1, 8, 8)]


async def test_another_tenant_sees_no_worker(pages: Pages) -> None:
    await pages.want("ann")
    await pages.take("box:ingest:7-ab")
    stranger = open_pages(pages.world, roles=False, tenant_id="other")
    assert "box" not in await stranger.text("/")
    views = FleetViews(pages.world.state, LeaseSettings(), tenant_id="other")
    assert not await views.ever()
    assert (await views.read()).workers == ()
    assert await views.channels() == {}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_names_of_strangers_stay_text(pages: Pages, attack: str) -> None:
    one = ChannelWork(id=attack, name=attack, url="x", kind="hls")
    await pages.world.book.want("ingest", attack, one.as_json())
    await pages.take("box:ingest:7-ab")
    assert attack in (await pages.page()).text


async def test_long_lists_are_cut_on_the_page_and_whole_for_programs(pages: Pages) -> None:
    await pages.want(*(f"channel{number:02d}" for number in range(15)))
    await pages.take("box:ingest:7-ab", 50)
    for number in range(13):
        want = Want(kind="render", capacity=0, slots=1, draining=True)
        await pages.world.book.acquire(f"old:render:{number}-ab", want)
    text = await pages.text()
    assert "channel11" in text
    assert "channel12" not in text
    assert text.count("and 3 more") == 2
    told = (await pages.client.get("/api/workers")).json()
    assert len(told["workers"]) == 14
    assert len(told["workers"][0]["holds"]) == 15


async def test_a_worker_that_does_not_say_how_many_it_holds_is_shown_all_the_same(
    pages: Pages,
) -> None:
    await pages.want("ann")
    await pages.world.book.acquire("old", Want(kind="ingest", capacity=3))
    text = await pages.text()
    assert "1 of 3 channels" in text
    assert "process" not in text.partition("Processes")[0]
