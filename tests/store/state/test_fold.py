"""Any order and any repetition of events gives the same rows."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.ports import Record
from store.state.fold import Rows, fold
from store.state.tables import ClipRow, CoverageRow, CurveRow, MomentRow, RenderRow, SessionRow
from tests.store.state.story import records, story

STORY = records([*story(), *story(tenant_id="other")])


def as_values(rows: Rows) -> dict[str, Any]:
    return {
        f"{table.__tablename__} {key}": {
            column.name: getattr(row, column.name) for column in table.__table__.columns
        }
        for table, found in rows.tables.items()
        for key, row in sorted(found.items())
    }


def folded(sequence: list[Record]) -> dict[str, Any]:
    rows = Rows()
    for one in sequence:
        fold(rows, one.event, one.published_at_s)
    return as_values(rows)


@st.composite
def deliveries(draw: st.DrawFn) -> list[Record]:
    """Topics interleaved anyhow; within a topic and key in order, with stretches told again."""
    queues: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for one in STORY:
        queues[one.topic, f"{one.event.tenant_id} {one.event.key}"].append(one)
    pending = []
    for queue in queues.values():
        again = draw(st.integers(0, len(queue)))
        since = draw(st.integers(0, again))
        pending.append([*queue[:again], *queue[since:]])
    random = draw(st.randoms(use_true_random=False))
    turns = [place for place, queue in enumerate(pending) for _ in queue]
    random.shuffle(turns)
    return [pending[place].pop(0) for place in turns]


@settings(max_examples=60, deadline=None)
@given(deliveries())
def test_order_and_repetition_do_not_matter(sequence: list[Record]) -> None:
    assert folded(sequence) == folded(STORY)


@settings(max_examples=30, deadline=None)
@given(st.permutations(STORY))
def test_not_even_order_within_a_topic_matters(sequence: list[Record]) -> None:
    assert folded(sequence) == folded(STORY)


def test_what_the_story_tells() -> None:
    rows = Rows()
    for one in STORY:
        fold(rows, one.event, one.published_at_s)
    session = rows.of(SessionRow)["acme", "s1"]
    assert (session.status, session.media_s, session.settled, session.clips_total) == (
        "ended",
        120.0,
        True,
        2,
    )
    assert session.minutes_claimed == 1
    assert (session.reaction_s, session.reaction_samples) == (7.9, 23)
    assert rows.of(CoverageRow)["acme", "s1", "stored"].spans == [[0, 20000], [28000, 120000]]
    assert rows.of(CoverageRow)["acme", "s1", "ad"].spans == [[20000, 28000]]
    statuses = sorted(
        (row.peak_s, row.status, row.reason, row.clip_id)
        for (tenant, _), row in rows.of(MomentRow).items()
        if tenant == "acme"
    )
    assert statuses == [
        (30, "taken", "", "s1-clip-1"),
        (34, "taken", "", "s1-clip-1"),
        (60, "passed", "cooldown: 12 s after a clip", None),
        (90, "taken", "", "s1-clip-2"),
    ]
    cut = rows.of(ClipRow)["acme", "s1-clip-1"]
    assert (cut.status, cut.title, cut.start_s, cut.gap_s) == ("cut", "Cut title", 20.01, 0.5)
    failed = rows.of(ClipRow)["acme", "s1-clip-2"]
    assert (failed.status, failed.reason, failed.start_s) == ("failed", "source_gone", 80.0)
    landscape = rows.of(RenderRow)["acme", "s1-clip-1-l"]
    assert (landscape.status, landscape.percent) == ("rendering", 70)
    loudness = rows.of(CurveRow)["acme", "s1", "loudness", 0].values
    assert loudness[3:9] == [None, -30.0, -30.0, -30.0, -3.0, None]
    assert rows.of(CurveRow)["acme", "s1", "chat", 1].values[41] is None
