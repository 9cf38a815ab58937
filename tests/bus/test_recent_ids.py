"""The memory of ids, over random ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.recent_ids import RecentIds


@given(st.integers(1, 5), st.lists(st.integers(0, 12)))
def test_the_newest_ids_are_known_and_the_oldest_forgotten(at_least: int, ids: list[int]) -> None:
    recent: RecentIds[int] = RecentIds(at_least)
    fresh: list[int] = []
    for one in ids:
        was_known = one in recent
        assert recent.add(one) is not was_known
        if not was_known:
            fresh.append(one)
        assert all(each in recent for each in fresh[-at_least:])
        assert not any(each in recent for each in set(fresh) - set(fresh[-2 * at_least :]))


def test_an_id_that_is_discarded_is_new_again_in_either_generation() -> None:
    recent: RecentIds[str] = RecentIds(2)
    for one in ("old", "fills", "young"):
        recent.add(one)
    for one in ("old", "young", "never there"):
        recent.discard(one)
        assert recent.add(one)
