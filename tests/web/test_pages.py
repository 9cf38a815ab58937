"""What a person sees, and what a stranger's text cannot do to it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from bus import events as ev
from store.state.apply import record
from tests.store.state.story import ids, moment, records, story
from tests.web.conftest import SiteUnderTest
from web.health import Health, StageHealth

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}",
    "</title><script>alert(1)</script>",
    "javascript:alert(1)",
)


class Tags(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def check_harmless(html: str) -> Tags:
    """Return the page's elements; none of them does anything that is not ours."""
    page = Tags(html)
    for tag, attributes in page.found:
        assert tag not in ("iframe", "object", "embed", "base")
        if tag == "script":
            assert attributes.get("src") == "/static/live.js"
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", "the policy forbids styles in elements"
            if name in ("href", "src", "poster"):
                assert re.match(r"/|#|\./|clips/", value or ""), (tag, name, value)
    return page


async def test_status_page_with_nothing_says_what_to_do(empty_site: SiteUnderTest) -> None:
    async with empty_site.client() as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    page = check_harmless(answer.text)
    assert "Nothing is being watched" in page.text
    assert "clipthat vod recording.mp4" in page.text


async def test_status_page_shows_what_is_watched(site: SiteUnderTest) -> None:
    async with site.client() as client:
        page = check_harmless((await client.get("/")).text)
    assert "Ranked" in page.text
    assert "2:00" in page.text
    assert "1:52" in page.text
    assert "8 s ads" in page.text
    assert "not taken: cooldown: 12 s after a clip" in page.text
    assert page.named("img")[0]["src"].startswith("/media/tenant/acme/renders/")  # type: ignore[union-attr]


async def test_a_finished_session_moves_to_earlier(site: SiteUnderTest) -> None:
    last = ev.RenderFailed(
        **ids(), render_id="s1-clip-1-l", clip_id="s1-clip-1", layout="landscape", reason="killed"
    )
    await record(site.state, records([last]))
    async with site.client() as client:
        text = check_harmless((await client.get("/")).text).text
        session = check_harmless((await client.get("/sessions/s1")).text)
    assert "Nothing is being watched" in text
    assert "Earlier" in text
    assert session.named("main")[0]["data-refresh-ms"] == "0"
    assert "No landscape output" in session.text


async def test_session_page(site: SiteUnderTest) -> None:
    async with site.client() as client:
        answer = await client.get("/sessions/s1")
    page = check_harmless(answer.text)
    (video,) = page.named("video")
    assert {"controls", "playsinline"} <= set(video)
    assert "/vertical.mp4?" in (video["src"] or "")
    assert "/thumbnail.jpg?" in (video["poster"] or "")
    assert [link["download"] for link in page.named("a") if "download" in link] == [
        "cut-title-vertical.mp4",
        "cut-title-source.mp4",
    ]
    for words in (
        "Cut title",
        "no words, so no captions",
        "0.5 s of this clip is missing",
        "This could not be cut: the source has let it go.",
        "Not taken, and why not",
        "the stream stands still",
        "70 %",
        "loud and excited",
        "Chat answers after 7.9 s, learned from 23 answers.",
    ):
        assert words in page.text
    assert len(page.named("circle")) == 4
    assert page.named("svg")


async def test_empty_session_says_what_will_happen(empty_site: SiteUnderTest) -> None:
    started = [
        ev.SessionStarted(
            **ids(session_id=name), kind=kind, title=name, source="x", clips_max=best, has_chat=True
        )
        for name, kind, best in (("l", "live", None), ("v", "vod", 5))
    ]
    await record(empty_site.state, records(list(started)))
    async with empty_site.client() as client:
        live = check_harmless((await client.get("/sessions/l")).text).text
        vod = check_harmless((await client.get("/sessions/v")).text).text
        status = check_harmless((await client.get("/")).text).text
    assert "No clip yet. The first one comes when chat speeds up" in live
    assert "A usual delay is assumed until chat has answered often enough." in live
    assert "The best 5 moments of the whole recording" in vod
    assert "Waiting for the first media" in status


async def test_what_the_machine_could_not_do_is_said_on_both_pages(
    empty_site: SiteUnderTest,
) -> None:
    said = "the machine could not keep up: 12 frames left out"
    await record(
        empty_site.state,
        records(
            [
                ev.SessionStarted(**ids(), kind="live", title="Ranked", source="x"),
                ev.ChannelDegraded(**ids(), media_s=61.0, reason="stalled", detail="no segment"),
                ev.ChannelDegraded(**ids(), media_s=92.0, reason="caught_up", detail=said),
            ]
        ),
    )
    async with empty_site.client() as client:
        session = check_harmless((await client.get("/sessions/s1")).text).text
        status = check_harmless((await client.get("/")).text).text
    for page in (session, status):
        assert "1:32: The machine could not keep up: 12 frames left out" in page
    assert "1:01: the stream stands still (no segment)" in session
    assert "stands still" not in status


@pytest.mark.parametrize("attack", ATTACKS)
async def test_text_of_strangers_stays_text(empty_site: SiteUnderTest, attack: str) -> None:
    own = {"tenant_id": "acme", "channel_id": attack, "session_id": "s1"}
    seen = ev.MomentDetected(
        **own,
        kind="chat_spike",
        start_s=1,
        peak_s=2,
        end_s=3,
        decided_s=4,
        score=0.5,
        evidence={"times": "×8", "sample": attack, "chatters": 3},
    )
    other = ev.MomentDetected(
        **own, kind=attack, start_s=5, peak_s=6, end_s=7, decided_s=8, score=0.5,
        evidence={attack: attack},
    )  # fmt: skip
    await record(
        empty_site.state,
        records(
            [
                ev.SessionStarted(**own, kind="live", title=attack, source=attack),
                ev.SegmentStored(
                    **own, epoch=0, seq=0, disc=0, media_s=0, duration_s=8, container="ts"
                ),
                ev.ChannelDegraded(**own, media_s=1, reason=attack, detail=attack),
                seen,
                other,
                ev.MomentPassed(**own, moment_id=other.event_id, media_s=6, reason=attack),
                ev.ClipPlanned(
                    **own, clip_id=attack, start_s=1, peak_s=2, end_s=3, score=0.5,
                    kinds=(attack,), moment_ids=(seen.event_id,), title=attack,
                    evidence=({"kind": "clip_command", "viewers": 3, "text": attack},),
                ),
                ev.ClipFailed(**own, clip_id=attack, reason=attack, detail=attack),
            ]
        ),
    )  # fmt: skip
    async with empty_site.client() as client:
        for path in ("/", "/sessions/s1"):
            answer = await client.get(path)
            assert answer.status_code == 200
            page = check_harmless(answer.text)
            assert attack in page.text


async def test_not_found_is_a_page_for_people_and_json_for_programs(site: SiteUnderTest) -> None:
    async with site.client() as client:
        page, program = await client.get("/sessions/none"), await client.get("/api/sessions/none")
    assert page.status_code == program.status_code == 404
    assert "There is no such session" in check_harmless(page.text).text
    assert program.json() == {"detail": "There is no such session."}


async def test_tenants_are_fenced(site: SiteUnderTest) -> None:
    async with site.client(tenant_id="other") as client:
        assert "Ranked" not in (await client.get("/")).text
        for path in ("/sessions/s1", "/api/sessions/s1", "/api/clips/s1-clip-1"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/api/sessions")).json() == []


async def test_api_tells_the_same(site: SiteUnderTest) -> None:
    async with site.client() as client:
        (session,) = (await client.get("/api/sessions")).json()
        detail = (await client.get("/api/sessions/s1")).json()
        clip = (await client.get("/api/clips/s1-clip-1")).json()
        description = (await client.get("/api/openapi.json")).json()
        video = await client.get(clip["files"]["vertical"])
    assert (session["id"], session["missing_s"]) == ("s1", {"ad": 8.0})
    assert [one["status"] for one in detail["clips"]] == ["cut", "failed"]
    assert set(clip["files"]) == {"vertical", "source", "thumbnail"}
    assert video.status_code == 200
    assert {"/api/sessions", "/api/sessions/{session_id}", "/api/clips/{clip_id}"} == set(
        description["paths"]
    )


async def test_health_and_metrics(site: SiteUnderTest) -> None:
    async with site.client() as client:
        assert (await client.get("/healthz")).json() == {"ok": True, "stages": []}
        assert (await client.get("/metrics")).text == "clipthat_up 1\n"
        site.health = Health(
            ok=False, stages=(StageHealth(name="senses", ok=False, detail="starts again"),)
        )
        answer = await client.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["stages"][0]["detail"] == "starts again"
        assert "senses: starts again" in (await client.get("/")).text


async def test_every_answer_is_fenced(site: SiteUnderTest) -> None:
    paths = ("/", "/sessions/s1", "/nowhere", "/api/sessions", "/static/live.js", "/media/x")
    async with site.client() as client:
        for path in paths:
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["referrer-policy"] == "no-referrer"
        policy = (await client.get("/")).headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:9999", 200),
        ("[::1]:8420", 200),
        ("LOCALHOST", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("", 421),
    ],
)
async def test_only_our_names_are_answered(site: SiteUnderTest, host: str, status: int) -> None:
    async with site.client() as client:
        assert (await client.get("/", headers={"Host": host})).status_code == status
    async with site.client(allowed_hosts=("*",)) as client:
        assert (await client.get("/", headers={"Host": host})).status_code == 200


async def test_a_second_look_is_the_same_page(site: SiteUnderTest) -> None:
    """What has not changed has the same markup, so that a video that plays is not exchanged."""
    async with site.client() as client:
        first = (await client.get("/sessions/s1")).text
        site.clock.now_s += 30
        assert (await client.get("/sessions/s1")).text == first
        await record(site.state, records([*story()[:1], moment(70)]))
        assert (await client.get("/sessions/s1")).text != first
