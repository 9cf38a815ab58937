"""`clipthat run` through an evening on Twitch: session, clips, chat and minutes are right."""

from __future__ import annotations

import asyncio
import io
import math
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import av
import httpx
import pytest

from bus.events import (
    ChatWindow,
    ClipPlanned,
    Event,
    MinuteWatched,
    SegmentMissing,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)
from bus.local import LocalBus
from ingest.twitch.names import TwitchChannel
from ops.commands.live import channel_of
from tests.e2e.process import Running, running
from tests.e2e.twitch_evening import (
    AD_LENGTH_S,
    ANONYMOUS,
    CONNECTED,
    LOGINS,
    Evening,
    browser,
    connect,
    form_token,
    kept_lines,
)
from tests.hls_media import ts_segments

_T = TypeVar("_T")
TOPICS = ("sessions", "segments", "chat", "usage", "clips")
EDGE_S = 8.0
"""A slow machine's clock may stand so far from the stream's."""
LIMIT_S = 400.0
_QUIET_S = 3.0


@dataclass(frozen=True)
class Spent:
    """What the evening has left."""

    evening: Evening
    command: Running
    events: Sequence[Event]
    details: dict[str, dict[str, Any]]
    """The API's answer about each channel's session."""
    pages: dict[str, str]
    """Each channel's session page, and what pages said when the permission was gone."""
    durations_s: dict[str, dict[str, float]]
    """Length of each file of each clip, as it came over the web."""
    lines: dict[str, list[dict[str, Any]]]
    """The raw chat that each session has kept."""

    def of(self, login: str, kind: type[_T]) -> list[_T]:
        channel_id = channel_of(TwitchChannel(login))
        return [e for e in self.events if isinstance(e, kind) and _channel(e) == channel_id]


def _channel(event: object) -> str:
    return str(getattr(event, "channel_id", ""))


async def spend(folder: Path) -> Spent:
    evening = Evening(ts_segments(seconds=20, size="320x180"))
    settings = ("--set", "web.port=0", "--set", f"data_dir={folder / 'data'}")
    async with (
        evening.served(),
        running(
            folder,
            *("run", *settings, *evening.settings, f"twitch.tv/{ANONYMOUS}"),
            json_lines=False,
        ) as command,
    ):
        page = await page_of(command)
        reading = asyncio.create_task(drained(command))
        async with asyncio.timeout(LIMIT_S), browser(page) as web:
            await connect(evening, web)
            await add_channel(web)
            await until(lambda: offline(evening))
            playing = asyncio.create_task(evening.play())
            pages = {"warned": await warned(web)}
            await playing
            details = await until(lambda: done(web))
            for login, detail in details.items():
                pages[login] = (await web.get(f"/sessions/{detail['session']['id']}")).text
            durations_s = {
                clip["id"]: await files_of(web, clip["id"])
                for detail in details.values()
                for clip in detail["clips"]
            }
        command.send(signal.SIGTERM)
        await asyncio.wait_for(command.process.wait(), LIMIT_S)
        await reading
    events = await events_of(folder / "data")
    lines = {
        login: kept_lines(folder / "data", detail["session"]["id"])
        for login, detail in details.items()
    }
    return Spent(evening, command, events, details, pages, durations_s, lines)


async def page_of(command: Running) -> str:
    """Return where the service says that its pages are."""
    assert command.process.stderr is not None
    async with asyncio.timeout(LIMIT_S):
        while line := (await command.process.stderr.readline()).decode():
            command.complaints += line.encode()
            if line.startswith("status page: "):
                return line.removeprefix("status page: ").strip()
    raise AssertionError(command.said)


async def drained(command: Running) -> None:
    """Read what the service says, so that it never waits for a reader."""
    assert command.process.stderr is not None
    while line := await command.process.stderr.readline():
        command.complaints += line


async def add_channel(web: httpx.AsyncClient) -> None:
    """Put the connected channel on the list, with Twitch's own clips."""
    token = await form_token(web, "/channels")
    answer = await web.post("/channels", data={"form_token": token, "channel": CONNECTED})
    assert answer.status_code == 200
    (switch,) = re.findall(r'action="(/channels/[^"]+/native-clips)"', answer.text)
    answer = await web.post(switch, data={"form_token": token, "on": "yes"})
    assert re.search(r'aria-checked="true" aria-label="Make a Twitch clip too', answer.text)


async def offline(evening: Evening) -> bool:
    """Return whether both channels have been looked for, and were not there."""
    return set(LOGINS) <= {login for _, login in evening.twitch.looked}


async def warned(web: httpx.AsyncClient) -> str:
    """Return the page that says that Twitch must be reconnected."""

    async def says_so() -> str:
        page = (await web.get("/")).text
        return page if "reconnect Twitch" in page else ""

    assert not await says_so()
    return await until(says_so)


async def done(web: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """Return each channel's one session once everything of it is made; nothing before."""
    sessions = (await web.get("/api/sessions")).json()
    found = {}
    for session in sessions:
        login = session["source"].removeprefix("twitch.tv/")
        assert login not in found, "one broadcast is one session"
        detail = (await web.get(f"/api/sessions/{session['id']}")).json()
        renders = [r["status"] for clip in detail["clips"] for r in clip["renders"]]
        native = login != CONNECTED or all(clip["twitch_status"] for clip in detail["clips"])
        made = all(clip["status"] == "cut" and clip["renders"] for clip in detail["clips"])
        over = session["status"] != "live" and session["clips_total"] == len(detail["clips"])
        if over and made and native and set(renders) <= {"finished"}:
            found[login] = detail
    return found if set(found) == set(LOGINS) else {}


async def files_of(web: httpx.AsyncClient, clip_id: str) -> dict[str, float]:
    """Fetch a clip's videos by their signed links; return how long each is."""
    answer = (await web.get(f"/api/clips/{clip_id}")).json()
    found = {}
    for name, link in answer["files"].items():
        file = await web.get(link)
        assert file.status_code == 200
        if file.headers["content-type"] == "video/mp4":
            with av.open(io.BytesIO(file.content), "r") as video:
                assert video.duration is not None
                found[name] = video.duration / 1_000_000
    return found


async def until(look: Callable[[], Awaitable[_T]]) -> _T:
    """Look until there is something."""
    while not (found := await look()):  # noqa: ASYNC110 - another process is looked at
        await asyncio.sleep(0.2)
    return found


async def events_of(folder: Path) -> list[Event]:
    found: list[Event] = []
    async with (
        LocalBus.open(folder / ".clipthat" / "bus.db") as bus,
        bus.subscribe("look", TOPICS) as log,
    ):
        while records := await log.fetch(1000, _QUIET_S):
            found += [record.event for record in records]
    return found


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Spent:
    return asyncio.run(spend(tmp_path_factory.mktemp("evening")))


both = pytest.mark.parametrize("login", LOGINS)


@both
def test_one_broadcast_is_one_session_from_the_first_look_on(spent: Spent, login: str) -> None:
    assert spent.command.process.returncode == 0, spent.command.said
    assert "Traceback" not in spent.command.said
    (started,), (ended,) = spent.of(login, SessionStarted), spent.of(login, SessionEnded)
    assert started.broadcast_id == f"broadcast-{login}"
    assert ended.reason == "ended"
    assert started.wall_start_s == pytest.approx(spent.evening.live_s - 6.0, abs=2.5)
    # None after it went live when a look was on its way just then.
    assert spent.evening.looks_until_found[login] <= 1
    assert spent.evening.truth[login].begun_s - spent.evening.live_s < 30.0


@both
def test_stored_and_missing_media_are_the_evening(spent: Spent, login: str) -> None:
    spans: list[SegmentStored | SegmentMissing]
    spans = [*spent.of(login, SegmentStored), *spent.of(login, SegmentMissing)]
    spans.sort(key=lambda span: span.media_s)
    for before, after in pairwise(spans):
        assert after.media_s == pytest.approx(before.end_s, abs=0.75)
    (started,), (ended,) = spent.of(login, SessionStarted), spent.of(login, SessionEnded)
    channel = spent.evening.channels[login]
    over_s = channel.runs[-1].ended_s
    assert over_s is not None
    assert started.wall_start_s is not None
    assert ended.media_s == pytest.approx(over_s - started.wall_start_s, abs=2.0)
    assert ended.stored_s + ended.missing_s == pytest.approx(ended.media_s, abs=2.0)
    missing = Counter[str]()
    for gap in spent.of(login, SegmentMissing):
        missing[gap.reason] += round(gap.duration_s)
    assert missing["ad"] == pytest.approx(AD_LENGTH_S, abs=2.0)
    away_s = channel.runs[2].stream.began_s - (channel.runs[1].ended_s or 0.0)
    rest_s = sum(missing.values()) - missing["ad"]
    assert rest_s == pytest.approx(away_s, abs=4.0)
    stored = spent.of(login, SegmentStored)
    assert len({span.disc for span in stored}) >= 3, "the encoder began anew twice"
    told = spent.details[login]["session"]["missing_s"]
    assert {reason: round(seconds) for reason, seconds in told.items()} == missing


@both
def test_minutes_are_those_that_were_stored(spent: Spent, login: str) -> None:
    stored_s = sum(span.duration_s for span in spent.of(login, SegmentStored))
    assert len(spent.of(login, MinuteWatched)) == math.floor(stored_s / 60)
    assert spent.details[login]["session"]["minutes_claimed"] == math.floor(stored_s / 60)


@both
def test_each_line_of_chat_counts_once_in_its_second(spent: Spent, login: str) -> None:
    truth, lines = spent.evening.truth[login], spent.lines[login]
    (started,), (ended,) = spent.of(login, SessionStarted), spent.of(login, SessionEnded)
    zero_s = started.wall_start_s or 0.0
    told = [line["message_id"] for line in lines]
    assert len(told) == len(set(told))
    assert not set(told) & set(truth.unheard)
    assert set(told) <= set(truth.delivered)
    until_s = zero_s + ended.media_s - 4.0
    due = {name for name, said_s in truth.delivered.items() if said_s < until_s}
    assert len(due) > 120
    assert due <= set(told)
    for line in lines:
        assert zero_s + line["t_s"] == pytest.approx(truth.delivered[line["message_id"]], abs=3.0)
    counted = {int(w.media_s): w.lines for w in spent.of(login, ChatWindow) if w.lines}
    assert counted == dict(Counter(math.floor(line["t_s"]) for line in lines))


@both
def test_seconds_without_a_reader_are_gaps_and_no_others(spent: Spent, login: str) -> None:
    truth = spent.evening.truth[login]
    (started,) = spent.of(login, SessionStarted)
    zero_s = started.wall_start_s or 0.0
    windows = spent.of(login, ChatWindow)
    assert [w.media_s for w in windows] == list(range(len(windows)))
    gaps = [w.media_s for w in windows if w.gap]
    spans = [(from_s - zero_s, until_s - zero_s) for from_s, until_s in truth.cut_s]
    begun_s = truth.begun_s + truth.lag_s - zero_s
    for from_s, until_s in spans:
        assert [g for g in gaps if from_s - EDGE_S < g < until_s + EDGE_S]
    spans.append((0.0, begun_s))
    assert [g for g in gaps if not _near(g, spans)] == []
    assert set(range(4)) <= set(gaps), "what was said before is not known"


def _near(second: float, spans: Sequence[tuple[float, float]]) -> bool:
    return any(from_s - EDGE_S < second < until_s + EDGE_S for from_s, until_s in spans)


@both
def test_clips_are_whole_and_hold_neither_ad_nor_gap(spent: Spent, login: str) -> None:
    clips = spent.details[login]["clips"]
    gaps = spent.of(login, SegmentMissing)
    assert len(clips) >= 2
    assert len({clip["id"] for clip in clips}) == len(clips) == len(spent.of(login, ClipPlanned))
    for clip in clips:
        assert clip["gap_s"] == 0
        inside = [g for g in gaps if _overlap_s(clip, g.media_s, g.end_s) > 0.05]
        assert inside == []
        made = spent.durations_s[clip["id"]]
        assert set(made) >= {"source", "landscape", "vertical"}
        length_s = clip["end_s"] - clip["start_s"]
        assert made.pop("source") > length_s - 0.1, "it may begin at a key frame before"
        assert list(made.values()) == pytest.approx([length_s] * len(made), abs=0.3)
    ads = [g for g in gaps if g.reason == "ad"]
    ad_start_s, ad_end_s = ads[0].media_s, ads[-1].end_s
    beside = [
        clip
        for clip in clips
        if abs(clip["end_s"] - ad_start_s) < 1.0 or abs(clip["start_s"] - ad_end_s) < 1.0
    ]
    assert beside, "a clip would reach into the ad"
    assert any("clip_command" in clip["kinds"] for clip in clips)


def _overlap_s(clip: dict[str, Any], start_s: float, end_s: float) -> float:
    return float(min(clip["end_s"], end_s) - max(clip["start_s"], start_s))


@both
def test_the_page_shows_ads_and_gaps(spent: Spent, login: str) -> None:
    drawn = re.findall(r'<rect class="gap"[^>]*><title>([^<]+)</title>', spent.pages[login])
    ads = [label for label in drawn if " ads, " in label]
    assert 0 < len(ads) < len(drawn), drawn


def test_who_read_the_chat(spent: Spent) -> None:
    evening = spent.evening
    assert evening.irc.seated(CONNECTED) == [], "the session is over"
    assert evening.events.opened >= 3
    troubles = {t["reason"] for t in spent.details[CONNECTED]["troubles"]}
    assert "reconnect_twitch" in troubles
    assert CONNECTED in spent.pages["warned"]
    assert "reconnect_twitch" not in {t["reason"] for t in spent.details[ANONYMOUS]["troubles"]}


def test_twitch_clips_are_made_while_it_is_allowed(spent: Spent) -> None:
    clips = spent.details[CONNECTED]["clips"]
    made = [clip for clip in clips if clip["twitch_status"] == "made"]
    assert made
    assert len({clip["twitch_url"] for clip in made}) == len(made)
    for clip in made:
        assert clip["twitch_url"] in spent.pages[CONNECTED]
    assert len(spent.evening.helix.created) == len(made)
    assert {clip["twitch_status"] for clip in spent.details[ANONYMOUS]["clips"]} == {""}
