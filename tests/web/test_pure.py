"""Ranges, words, cards, the timeline and the page in a folder."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.state.queries import read_session
from store.state.views import SessionDetail, SessionView
from tests.web.conftest import SiteUnderTest
from tests.web.test_pages import ATTACKS, check_harmless
from web.errors import LinkExpired, LinkForged, RangeUnsatisfiable
from web.page import ClipCard, render_clips_page
from web.ranges import ByteRange, parse_range
from web.signing import LinkSigner
from web.timeline import COLUMNS_MAX, draw_timeline
from web.words import all_evidence, clock_text, evidence_text, place_text, span_text


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,4}-\d{0,4}"), st.integers(0, 5000))
def test_a_range_always_lies_within(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except RangeUnsatisfiable:
        return
    assert found is None or 0 <= found.start < found.end <= size


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("items=0-5", None),
        ("bytes=5-2", None),
        ("bytes=٣-٤", None),
        ("bytes=2-5", ByteRange(2, 6)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-30", ByteRange(0, 10)),
    ],
)
def test_ranges(header: str | None, expected: ByteRange | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_behind_the_end(header: str) -> None:
    with pytest.raises(RangeUnsatisfiable):
        parse_range(header, 10)


@given(st.text(min_size=1, max_size=40), st.floats(0, 2e9), st.floats(0, 1e4))
def test_links_hold_between_one_and_two_spans(key: str, now_s: float, later_s: float) -> None:
    signer = LinkSigner(b"secret", 600.0)
    query = signer.link(key, now_s).rpartition("?")[2]
    ends, signature = (part.partition("=")[2] for part in query.split("&"))
    if later_s < 600:
        signer.check(key, ends, signature, now_s + later_s)
    elif later_s > 1201:
        with pytest.raises(LinkExpired):
            signer.check(key, ends, signature, now_s + later_s)
    with pytest.raises(LinkForged):
        signer.check(key + "x", ends, signature, now_s)


def test_times_read_well() -> None:
    assert [clock_text(s) for s in (0, 59.9, 61, 3725.4)] == ["0:00", "0:59", "1:01", "1:02:05"]
    assert [span_text(s) for s in (0, 0.44, 9.9, 9.96, 59.6, 185, 3600, 7260)] == [
        "0 s",
        "0.4 s",
        "9.9 s",
        "10 s",
        "1 min",
        "3 min 5 s",
        "1 h",
        "2 h 1 min",
    ]


def test_evidence_reads_well() -> None:
    chat = {"kind": "chat_spike", "times": "×8", "chatters": 31, "sample": "no way", "surge": 4.2}
    asked = {"kind": "clip_command", "viewers": 3, "text": "clip that", "user": "a1b2"}
    assert evidence_text(chat) == "chat ×8 · 31 people · “no way”"
    assert evidence_text(asked) == "3 viewers typed “clip that”"
    assert evidence_text({"viewers": 1}, "clip_command") == "1 viewer typed “clip that”"
    assert evidence_text({"kind": "new_one", "depth_m": 2.50}) == "new one · depth m 2.5"
    said = {"kind": "spoken_phrase", "phrase": "clip it", "engine": "subtitles", "said_s": 3.1}
    loud = {"kind": "excitement", "rise_db": 14.2, "loud_s": 3.24, "voice": 0.8}
    assert evidence_text(said) == "“clip it” was said"
    assert evidence_text(loud) == "14 dB louder than usual · for 3.2 s"
    assert evidence_text({}, "excitement") == "loud and excited"
    lively = {"kind": "lively", "rise_db": 5.6, "voice": 0.9}
    assert evidence_text(lively) == "livelier than the rest, 6 dB louder"
    assert evidence_text({**lively, "rise_db": 0.2}) == "the liveliest stretch"
    assert evidence_text({}) == ""
    assert all_evidence([asked, chat, asked]) == [evidence_text(asked), evidence_text(chat)]


EMPTY = SessionDetail(
    session=SessionView(
        id="s1",
        channel_id="ch1",
        kind="live",
        title="",
        source="",
        status="live",
        started_at_s=None,
        heard_at_s=0.0,
        duration_s=None,
        has_chat=True,
        clips_max=None,
        reaction_s=None,
        reaction_samples=0,
        media_s=0.0,
        settled_s=0.0,
        settled=False,
        stored_s=0.0,
        missing_s={},
        minutes_claimed=0,
        clips_total=None,
        moments=0,
        clips=0,
        clips_open=0,
        renders_open=0,
        clips_ready=0,
    ),
    moments=(),
    clips=(),
    gaps=(),
    troubles=(),
    curves={},
)


async def told(site: SiteUnderTest) -> SessionDetail:
    detail = await read_session(site.state, "acme", "s1")
    assert detail is not None
    return detail


async def test_the_timeline_lies_within_its_frame(site: SiteUnderTest) -> None:
    picture = draw_timeline(await told(site))
    assert [(mark.x, mark.width) for mark in picture.gaps] == [(16.667, 6.667)]
    assert [mark.target for mark in picture.clips] == ["clip-s1-clip-1", "clip-s1-clip-2"]
    assert [mark.look for mark in picture.moments] == [
        "moment taken",
        "moment taken",
        "moment passed",
        "moment taken",
    ]
    assert "ads, 8 s" in picture.gaps[0].label
    assert [mark.label for mark in picture.ticks] == ["0:00", "0:30", "1:00", "1:30"]
    assert picture.chat_max == 6
    assert picture.loudness.startswith("M33.3 100V50.0h")


@given(length_s=st.floats(0, 200_000), known=st.integers(0, 3000))
def test_any_length_gives_few_columns_and_ticks(length_s: float, known: int) -> None:
    detail = replace(EMPTY, curves={"chat": [1.0] * known, "loudness": []})
    detail = replace(detail, session=replace(EMPTY.session, media_s=length_s))
    picture = draw_timeline(detail)
    assert picture.chat.count("M") <= COLUMNS_MAX
    assert 1 <= len(picture.ticks) <= 7
    assert all(0 <= tick.x <= 100 for tick in picture.ticks)
    assert picture.loudness == ""


def card(**more: object) -> ClipCard:
    told = {
        "id": "c1",
        "title": "No way!",
        "start_s": 61.0,
        "end_s": 85.5,
        "score": 0.815,
        "kinds": ("chat_spike",),
        "evidence": ({"kind": "chat_spike", "times": "×8", "chatters": 12},),
        "gap_s": 0.0,
        "files": {name: f"clips/c1/{name}.mp4" for name in ("source", "landscape", "vertical")},
        **more,
    }
    return ClipCard(**told)  # type: ignore[arg-type]


def test_the_page_in_a_folder_needs_nothing_else() -> None:
    html = render_clips_page([card(score=0.2, title="Second"), card()], title="My stream")
    page = check_harmless(html)
    assert not page.named("script")
    assert not page.named("link")
    assert "--ground" in html
    assert page.text.index("No way!") < page.text.index("Second")
    assert page.named("video")[0]["src"] == "clips/c1/vertical.mp4"
    assert "chat ×8 · 12 people" in page.text
    assert "1:01–1:25" in page.text
    assert [link["href"] for link in page.named("a") if "download" in link][:3] == [
        "clips/c1/vertical.mp4",
        "clips/c1/landscape.mp4",
        "clips/c1/source.mp4",
    ]


def test_the_page_in_a_folder_before_the_first_clip() -> None:
    assert "No clips yet" in check_harmless(render_clips_page([])).text


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_page_in_a_folder_shows_text_as_text(attack: str) -> None:
    evil = card(
        title=attack, id=attack, notes=(attack,), evidence=({"kind": attack, attack: attack},)
    )
    page = check_harmless(render_clips_page([evil], title=attack))
    assert not page.named("script")
    assert not page.named("img")
    assert page.text.count(attack) >= 4


def test_a_draft_plays_until_the_vertical_clip_is_there() -> None:
    draft = card(files={"source": "clips/c1/source.mp4"}, progress={"vertical": 40})
    assert (draft.player, draft.is_draft) == ("clips/c1/source.mp4", True)
    page = check_harmless(render_clips_page([draft]))
    assert "draft" in page.text
    assert page.named("progress")[0]["value"] == "40"
    waiting = card(files={}, progress={})
    assert (waiting.player, waiting.is_draft, waiting.downloads) == (None, False, [])
    assert "being cut" in render_clips_page([waiting])


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("twitch.tv/ann", "twitch.tv/ann"),
        ("twitch.tv/videos/123", "twitch.tv/videos/123"),
        ("/home/ann/streams/friday.mp4", "friday.mp4"),
        ("https://ann:pw@example.org:8443/live.m3u8?token=hush", "example.org/live.m3u8"),
        ("", ""),
    ],
)
def test_a_place_is_named_without_its_secrets(source: str, shown: str) -> None:
    assert place_text(source) == shown
