"""The outbox alone: what is added leaves in order, and outlives its process."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import BusFull
from bus.kafka_message import Message, message_of
from bus.outbox import Outbox
from tests.bus.world import started, windows

SIZE = 10_000_000


def messages(count: int) -> list[Message]:
    told = [started("s"), *windows(count - 1)]
    return [message_of(event, 1.0, n) for n, event in enumerate(told)]


async def fill(outbox: Outbox) -> None:
    for _ in range(1_000):
        await outbox.add(messages(20))


async def test_messages_come_back_whole_and_in_order(tmp_path: Path) -> None:
    told = messages(5)
    async with Outbox.open(tmp_path, SIZE) as outbox:
        await outbox.add(told[:2])
        await outbox.add(told[2:])
        assert [message for _, message in await outbox.first(3)] == told[:3]
        assert await outbox.count() == 5


async def test_only_what_was_removed_is_gone_when_the_next_process_opens_it(
    tmp_path: Path,
) -> None:
    told = messages(5)
    async with Outbox.open(tmp_path, SIZE) as outbox:
        await outbox.add(told)
        await outbox.remove([n for n, _ in await outbox.first(2)])
    async with Outbox.open(tmp_path, SIZE) as outbox:
        assert [message for _, message in await outbox.first(10)] == told[2:]


async def test_two_that_are_open_share_nothing(tmp_path: Path) -> None:
    async with Outbox.open(tmp_path, SIZE) as one, Outbox.open(tmp_path, SIZE) as other:
        await one.add(messages(2))
        assert (await one.count(), await other.count()) == (2, 0)


async def test_a_full_outbox_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with Outbox.open(tmp_path, 100_000) as outbox:
        with pytest.raises(BusFull):
            await fill(outbox)
        kept = await outbox.count()
        assert kept % 20 == 0
        assert len(await outbox.first(kept + 1)) == kept > 0
