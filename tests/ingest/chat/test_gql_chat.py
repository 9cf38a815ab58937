"""A VOD's chat from Twitch's GraphQL, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from ingest.chat.comments import Refusal, read_comments
from ingest.chat.gql_chat import GqlChat
from ingest.chat.line import ChatLine, hashed
from ingest.chat.part_chat import PartChat
from ingest.chat.source import ChatBatch, ChatSource
from store.twitch.settings import TwitchSettings
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.twitch.server import serving
from tests.doubles.twitch.vods import Said, TwitchVods
from tests.ingest.world import ListChat


@dataclass
class World:
    twitch: TwitchVods
    chat: GqlChat

    def say(self, *said: Said) -> None:
        self.twitch.vod("77", ()).comments = said


@pytest.fixture
async def world() -> AsyncIterator[World]:
    timer = FakeTimer()
    twitch = TwitchVods(timer.now)
    async with serving(twitch) as address:
        settings = TwitchSettings(gql_url=f"{address}/gql", timeout_s=60.0)
        chat = GqlChat("77", settings, timer=timer)
        await chat.open(None)
        made = World(twitch, chat)
        made.say(*(Said(n, f"line {n}") for n in range(0, 100, 2)))
        yield made
        await chat.close()
    assert twitch.violations == []


async def drained(chat: ChatSource, until_s: float, step_s: float = 10.0) -> list[ChatBatch]:
    """Drain step by step, as a watch does."""
    batches: list[ChatBatch] = []
    at_s = 0.0
    while at_s < until_s:
        at_s = min(at_s + step_s, until_s)
        batches.append(await chat.drain(at_s))
    return batches


def texts(batches: list[ChatBatch]) -> list[str]:
    return [line.text for batch in batches for line in batch.lines]


def gaps(batches: list[ChatBatch]) -> set[int]:
    return {second for batch in batches for second in batch.gap_seconds}


def told(batches: list[ChatBatch]) -> list[str]:
    return [notice.detail for batch in batches for notice in batch.notices]


ALL = [f"line {n}" for n in range(0, 100, 2)]


async def test_everything_comes_once_and_no_more_is_read_than_is_asked_for(world: World) -> None:
    first = await world.chat.drain(10.0)
    assert [line.text for line in first.lines] == ALL[:5]
    assert len(world.twitch.pages) == 2
    assert texts(await drained(world.chat, 100.0)) == ALL[5:]
    assert gaps([first]) == set()
    assert world.chat.end_s == 98.0


async def test_a_cursor_that_needs_a_browser_is_replaced_by_time(world: World) -> None:
    world.twitch.cursor_refused = True
    batches = await drained(world.chat, 100.0)
    assert texts(batches) == ALL
    assert told(batches) == []
    assert not any("cursor" in page for page in world.twitch.pages)


async def test_a_second_with_more_than_a_page_costs_no_later_second(world: World) -> None:
    world.twitch.cursor_refused = True
    world.say(*(Said(3, f"spam {n}") for n in range(30)), *(Said(n, f"{n}") for n in (4, 9, 30)))
    said = texts(await drained(world.chat, 40.0))
    assert said[-3:] == ["4", "9", "30"]
    assert len(said) == len(set(said)) >= 8


async def test_duplicates_count_once(world: World) -> None:
    world.say(*(Said(n // 3, f"{n // 3}", id=f"id-{n // 3}") for n in range(60)))
    assert texts(await drained(world.chat, 30.0)) == [str(n) for n in range(20)]


async def test_what_a_comment_tells(world: World) -> None:
    world.say(
        Said(1, "clip that", "Ann", ("moderator", "subscriber")),
        Said(2, "gone", None),
        Said(3, "so good ", emotes=("Kappa",)),
    )
    ann, gone, good = (await world.chat.drain(10.0)).lines
    assert (ann.role, ann.user) == ("moderator", hashed("ann"))
    assert gone.text == "gone"
    assert (good.text, good.emotes) == ("so good Kappa", ("Kappa",))


async def test_malformed_entries_are_counted_and_left_out(world: World) -> None:
    def spoil(edges: list[dict[str, Any]]) -> list[dict[str, Any]]:
        broken: list[Any] = [{"cursor": edges[-1]["cursor"], "node": None}, 7]
        return [*edges[1:], *broken]

    world.twitch.spoil = spoil
    batches = await drained(world.chat, 100.0)
    assert len(texts(batches)) == 40
    assert sum(batch.dropped for batch in batches) == 20


async def test_too_many_requests_are_waited_out_as_long_as_twitch_says(world: World) -> None:
    world.twitch.answers = [
        lambda: world.twitch.too_many(20.0),
        lambda: web.Response(status=503),
        lambda: web.Response(text="<html>oops</html>"),
    ]
    batches = await drained(world.chat, 100.0)
    assert texts(batches) == ALL
    assert gaps(batches) == set()


INTEGRITY = {"errors": [{"message": "failed integrity check"}], "data": None}
UNKNOWN = {"errors": [{"message": "PersistedQueryNotFound"}]}
DELETED: dict[str, Any] = {"data": {"video": None}}


@pytest.mark.parametrize(
    ("answer", "why"),
    [(INTEGRITY, "integrity"), (UNKNOWN, "comments_hash"), (DELETED, "not there any more")],
)
async def test_chat_that_twitch_refuses_is_a_gap_with_words(
    world: World, answer: dict[str, Any], why: str
) -> None:
    world.twitch.comments_answer = answer
    batches = await drained(world.chat, 100.0)
    assert texts(batches) == []
    assert gaps(batches) == set(range(100))
    (said,) = told(batches)
    assert said.startswith("Twitch did not give this VOD's chat: ")
    assert why in said
    assert "--chat FILE" in said
    assert world.chat.end_s is None


async def test_a_refusal_in_the_middle_keeps_what_came_before(world: World) -> None:
    early = await drained(world.chat, 30.0)
    world.twitch.comments_status = 403
    late = [await world.chat.drain(60.0), await world.chat.drain(100.0)]
    assert len(texts(early) + texts(late)) >= 15
    assert gaps(early) == set()
    assert gaps(late) >= set(range(50, 100))
    assert len(told(late)) == 1


async def test_a_trouble_that_passes_gives_chat_back_later(world: World) -> None:
    world.say(*(Said(n, f"{n}") for n in range(0, 1000, 10)))
    world.twitch.comments_status = 500
    early = await drained(world.chat, 100.0)
    assert gaps(early) == set(range(100))
    world.twitch.comments_status = 200
    late = [await world.chat.drain(at_s) for at_s in (200.0, 400.0, 1000.0)]
    assert texts(late)[-1] == "990"
    assert gaps(late) <= set(range(100, 400))
    assert len(told(early + late)) == 1


async def test_a_part_begins_near_its_first_second_and_counts_from_there(world: World) -> None:
    chat = PartChat(world.chat, 60.5)
    batches = [await chat.drain(at_s) for at_s in (10.0, 39.0)]
    assert world.twitch.pages[0]["contentOffsetSeconds"] == 30
    inside = [(line.t_s, line.text) for b in batches for line in b.lines if line.t_s >= 0]
    assert inside == [(n - 60.5, f"line {n}") for n in range(62, 100, 2)]


async def test_a_part_of_a_refused_chat_is_all_gap(world: World) -> None:
    world.twitch.comments_answer = INTEGRITY
    chat = PartChat(world.chat, 60.5)
    batches = [await chat.drain(at_s) for at_s in (10.0, 20.0)]
    assert gaps(batches) >= set(range(20))


async def test_a_part_of_a_chat_that_cannot_seek_lets_go_of_what_is_before() -> None:
    lines = [ChatLine(t_s=float(n), user="u", text=str(n)) for n in range(4000)]
    chat = PartChat(ListChat(lines), 3600.0, from_s=100.0)
    await chat.open(None)
    batch = await chat.drain(200.0)
    assert [line.t_s for line in batch.lines] == [float(n) for n in range(70, 200)]


NAMES = [
    "data",
    "video",
    "comments",
    "edges",
    "node",
    "message",
    "fragments",
    "errors",
    "id",
    "contentOffsetSeconds",
    "pageInfo",
    "cursor",
    "userBadges",
    "commenter",
    "text",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(json_values)
def test_any_answer_is_read_or_refused(answer: object) -> None:
    page = read_comments(answer)
    if isinstance(page, Refusal):
        assert page.said


@given(st.lists(json_values, max_size=5))
def test_any_entries_are_read_or_counted(edges: list[object]) -> None:
    page = read_comments({"data": {"video": {"comments": {"edges": edges}}}})
    assert not isinstance(page, Refusal)
    assert len(page.lines) + page.malformed == len(edges)
