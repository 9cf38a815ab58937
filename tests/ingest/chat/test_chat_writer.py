"""A person is told when chat has been away for long, once for each loss."""

from __future__ import annotations

from bus.ports import SilentMeter
from ingest.chat.log import ChatLog
from ingest.chat.room import Feeder, Room
from ingest.chat.window import ChatWindows
from ingest.chat_writer import ChatWriter
from store.obstore_objects import open_objects


class _Nobody:
    async def attach(self, channel: str, room: Room) -> None:
        """Hear nothing."""

    async def detach(self, channel: str, room: Room) -> None:
        """Hear nothing."""


async def test_a_long_loss_is_told_once() -> None:
    now_s = [1_000.0]
    feeder: Feeder = _Nobody()
    room = Room("demo", feeder, clock=lambda: now_s[0])
    await room.open(1_000.0)
    writer = ChatWriter(
        room,
        ChatWindows(tenant_id="t", channel_id="c", session_id="s"),
        ChatLog(open_objects("memory://"), tenant_id="t", session_id="s"),
        SilentMeter(),
    )
    for media_s in range(2, 59, 2):
        await writer.close_until(float(media_s))
    assert writer.take_notices() == ()
    for media_s in range(60, 200, 2):
        await writer.close_until(float(media_s))
    assert [notice.reason for notice in writer.take_notices()] == ["chat_lost"]
    now_s[0] = 1_200.0
    room.joined("irc")
    await writer.close_until(210.0)
    now_s[0] = 1_210.0
    room.cut("irc")
    await writer.close_until(260.0)
    assert writer.take_notices() == ()
    await writer.close_until(280.0)
    assert [notice.reason for notice in writer.take_notices()] == ["chat_lost"]
