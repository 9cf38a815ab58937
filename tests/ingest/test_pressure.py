from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.events import LiveLagged
from ingest.pressure import Pressure

BELIEVED_S = 60.0
WORDS = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0.0, 50.0)), max_size=30
)


def lagged(session_id: str, media_s: float, *, over: bool = False) -> LiveLagged:
    return LiveLagged(
        tenant_id="t",
        channel_id="c",
        session_id=session_id,
        media_s=media_s,
        lag_s=30.0,
        over=over,
    )


@given(WORDS, st.floats(0.0, 200.0))
def test_it_is_on_while_a_session_has_lately_been_said_to_be_behind(
    words: list[tuple[str, bool, float]], later_s: float
) -> None:
    pressure, now_s = Pressure(BELIEVED_S), 1_000.0
    last: dict[str, tuple[bool, float]] = {}
    for session_id, over, after_s in words:
        now_s += after_s
        pressure.note(lagged(session_id, now_s, over=over), now_s)
        last[session_id] = (over, now_s)
    now_s += later_s
    expected = any(not over and now_s - at_s <= BELIEVED_S for over, at_s in last.values())
    assert pressure.is_on(now_s) is expected


def test_the_dead_are_not_waited_for() -> None:
    pressure = Pressure(BELIEVED_S)
    pressure.note(lagged("a", 1.0), 1_000.0)
    assert pressure.is_on(1_060.0)
    assert not pressure.is_on(1_061.0)
