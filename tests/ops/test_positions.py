from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.span import WHOLE, Span, clock
from ops.commands.positions import read_position, read_span
from ops.errors import OpsError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1:00:00", 3600.0),
        ("90:00", 5400.0),
        ("3600", 3600.0),
        ("1h2m3s", 3723.0),
        ("2m", 120.0),
        ("1H", 3600.0),
        ("0:01.5", 1.5),
        (" 12.25 ", 12.25),
    ],
)
def test_a_position_in_any_usual_form(text: str, seconds: float) -> None:
    assert read_position(text, "--from") == seconds


@pytest.mark.parametrize(
    "text", ["", "abc", "1:99", "1:60:00", "-5", "1e9", "3m1h", "1:2:3:4", "nan"]
)
def test_anything_else_says_what_to_write(text: str) -> None:
    with pytest.raises(OpsError, match=r"1:00:00, 90:00, 3600 or 1h2m3s"):
        read_position(text, "--from")


@given(st.integers(0, 10**6))
def test_what_is_shown_is_read_again(seconds: int) -> None:
    assert read_position(clock(seconds), "--to") == seconds


def test_a_span_has_two_open_ends() -> None:
    assert read_span("", "") == WHOLE
    assert read_span("1:00", "") == Span(60.0, None)
    assert read_span("", "1:00") == Span(0.0, 60.0)


@pytest.mark.parametrize("stop", ["10", "9"])
def test_a_span_must_go_forwards(stop: str) -> None:
    with pytest.raises(OpsError, match="must lie behind"):
        read_span("10", stop)


@given(
    st.lists(st.floats(0.5, 12.0), min_size=1, max_size=40),
    st.floats(0.0, 300.0),
    st.floats(0.1, 300.0),
)
def test_a_part_holds_every_segment_that_touches_it_and_no_other(
    durations_s: list[float], start_s: float, length_s: float
) -> None:
    total_s = sum(durations_s)
    start_s = min(start_s, total_s * 0.9)
    stop_s = min(start_s + length_s, total_s)
    first, last = Span(start_s, stop_s).pick(durations_s, "it")
    begin_s, end_s = sum(durations_s[:first]), sum(durations_s[:last])
    assert begin_s <= start_s + 0.01
    assert end_s >= stop_s - 0.01
    assert first == last - 1 or sum(durations_s[: first + 1]) > start_s
    assert sum(durations_s[: last - 1]) < stop_s
