from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.precedence import Precedence
from bus.turns import Turns

LIVE, REPLAY = True, False
Arrivals = Sequence[tuple[bool, int]]
"""Who comes, live or not, and how many go before the next one comes."""

ARRIVALS = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60)


def played(arrivals: Arrivals, share_of: int) -> list[tuple[bool, int, bool, bool]]:
    """Return who goes, in order: live, its number, whether live and whether replays waited."""
    line: Precedence[tuple[bool, int]] = Precedence(share_of)
    waiting: list[bool] = []
    gone: list[tuple[bool, int, bool, bool]] = []

    def go() -> None:
        one = line.next()
        gone.append((*one, LIVE in waiting, REPLAY in waiting))
        waiting.remove(one[0])

    for number, (live, goes) in enumerate(arrivals):
        line.add((live, number), live=live)
        waiting.append(live)
        for _ in range(min(goes, len(line))):
            go()
    while line:
        go()
    return gone


@given(ARRIVALS, st.integers(2, 9))
def test_all_go_once_and_each_kind_in_its_own_order(arrivals: Arrivals, share_of: int) -> None:
    gone = played(arrivals, share_of)
    assert len(gone) == len(arrivals)
    for kind in (LIVE, REPLAY):
        numbers = [number for live, number, _, _ in gone if live is kind]
        assert numbers == [at for at, (live, _) in enumerate(arrivals) if live is kind]


@given(ARRIVALS, st.integers(2, 9))
def test_a_replay_overtakes_live_only_in_its_share(arrivals: Arrivals, share_of: int) -> None:
    passed = 0
    for live, _, live_waited, replay_waited in played(arrivals, share_of):
        if live:
            passed = passed + 1 if replay_waited else 0
            assert passed < share_of, "a replay starves"
        else:
            assert not live_waited or passed == share_of - 1, "a replay goes before live"
            passed = 0


def test_nobody_goes_from_an_empty_line() -> None:
    with pytest.raises(IndexError):
        Precedence[str]().next()


def test_who_leaves_is_not_called() -> None:
    line: Precedence[str] = Precedence()
    line.add("a", live=True)
    line.add("b", live=True)
    line.leave("a", live=True)
    line.leave("a", live=True)
    assert (len(line), line.next()) == (1, "b")


async def test_live_goes_first() -> None:
    turns = Turns(1)
    order: list[str] = []

    async def work(name: str, live: bool) -> None:
        async with turns.turn(live=live):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name, live in (("first", False), ("replay", False), ("live", True)):
            group.create_task(work(name, live))
    assert order == ["first", "live", "replay"]


async def test_a_cancelled_wait_does_not_lose_its_turn() -> None:
    turns = Turns(1)
    async with turns.turn(live=True):
        waiting = asyncio.create_task(turns._acquire(True))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    async with asyncio.timeout(1), turns.turn(live=False):
        pass


async def test_a_turn_that_is_given_to_one_who_is_cancelled_goes_on() -> None:
    turns = Turns(1)
    await turns._acquire(True)
    waiting = asyncio.create_task(turns._acquire(True))
    await asyncio.sleep(0)
    turns._release()
    waiting.cancel()
    await asyncio.wait([waiting])
    async with asyncio.timeout(1), turns.turn(live=False):
        pass
