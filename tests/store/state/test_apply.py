"""Batches reach the database whole, and again without harm."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from bus.events import Event, SessionStarted, SpeechHeard
from store.state.apply import record
from store.state.fold import Rows, fold
from store.state.queries import list_sessions
from store.state.state import State
from store.state.tables import TABLES, ClipRow, SessionRow
from tests.store.state.fresh import fresh_database
from tests.store.state.story import ids, moment, records, story
from tests.store.state.test_fold import as_values

STORY = records(story())


async def stored(state: State) -> dict[str, Any]:
    values = {}
    async with state.reading() as session:
        for table in TABLES:
            keys = [column.name for column in table.__table__.primary_key]
            for row in (await session.execute(select(table))).scalars():
                key = tuple(getattr(row, name) for name in keys)
                values[f"{table.__tablename__} {key}"] = {
                    column.name: getattr(row, column.name) for column in table.__table__.columns
                }
    return values


def expected(*stories: list[Event]) -> dict[str, Any]:
    rows = Rows()
    for events in stories or (story(),):
        for one in records(events):
            fold(rows, one.event, one.published_at_s)
    return as_values(rows)


def unheard(values: dict[str, Any]) -> dict[str, Any]:
    """Return rows without the time at which something was published."""
    return {
        name: {column: value for column, value in row.items() if column != "heard_at_s"}
        for name, row in values.items()
    }


async def test_the_database_holds_what_the_fold_says(state: State) -> None:
    await record(state, STORY)
    assert await stored(state) == expected()


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.permutations(STORY), size=st.integers(1, 40))
async def test_batches_in_any_order_and_again(state: State, order: list[Any], size: int) -> None:
    async with state.writing() as session:
        for table in reversed(TABLES):
            await session.execute(table.__table__.delete())
    for begin in range(0, len(order), size):
        await record(state, order[begin : begin + size])
    await record(state, order[: size * 2])
    assert await stored(state) == expected()


async def test_recorders_at_once_lose_nothing(state: State) -> None:
    await asyncio.gather(*(record(state, STORY[place::7]) for place in range(7)))
    assert await stored(state) == expected()


async def test_a_batch_is_written_whole_or_not_at_all(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def breaks(rows: Rows, event: Any, published_at_s: float) -> None:
        calls.append(event)
        if len(calls) > len(STORY) + 3:
            raise RuntimeError("killed half-way")
        fold(rows, event, published_at_s)

    monkeypatch.setattr("store.state.apply.fold", breaks)
    with pytest.raises(RuntimeError):
        await record(state, STORY)
    assert await stored(state) == {}


async def test_sqlite_is_prepared(tmp_path: Path) -> None:
    url = await fresh_database(tmp_path)
    async with State.open(url) as state, state.reading() as session:
        assert (await session.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
        assert (await session.execute(text("PRAGMA foreign_keys"))).scalar() == 1
        assert (await session.execute(text("PRAGMA busy_timeout"))).scalar() == 30_000


async def test_a_row_refers_to_one_that_is_there(state: State) -> None:
    with pytest.raises(IntegrityError):
        async with state.writing() as session:
            session.add(ClipRow(tenant_id="acme", id="c", session_id="nowhere"))


async def test_a_reader_does_not_wait_for_a_writer(state: State) -> None:
    await record(state, STORY)
    async with state.writing() as writer, state.reading() as reader:
        row = await writer.get(SessionRow, ("acme", "s1"))
        assert row is not None
        row.title = "new"
        await writer.flush()
        seen = await reader.get(SessionRow, ("acme", "s1"))
        assert seen is not None
        assert seen.title == "Ranked"


async def test_events_that_no_row_keeps_are_passed_over(state: State) -> None:
    words = SpeechHeard(
        **ids(), epoch=0, seq=1, media_s=0, duration_s=2, words=(), engine="subtitles"
    )
    await record(state, records([words]))
    assert await stored(state) == {}
    await record(state, records([moment(30)]))
    assert len(await stored(state)) == 4


@pytest.mark.parametrize("title", ["a\0b", "a\ud800b", "\ud83d", "caf\u00e9 \U0001f600"])
async def test_whatever_people_write_is_recorded(state: State, title: str) -> None:
    started = SessionStarted(
        **ids(), kind="vod", title=title, source="x", has_chat=False, started_at_s=1.0
    )
    seen = replace(moment(30), evidence={"sample": title})
    await record(state, records([started, seen]))
    (session,) = await list_sessions(state, "acme")
    wanted = title.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    assert session.title == wanted
    assert session.moments == 1
