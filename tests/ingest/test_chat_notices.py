"""What a chat reader has to tell a person stands among the session's events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bus.events import ChannelDegraded
from ingest.chat.source import ChatBatch
from ingest.chat.twitch_chat import RECONNECT
from tests.doubles.fake_timer import FakeTimer
from tests.doubles.faulty_origin import FaultyOrigin
from tests.hls_media import ts_segments
from tests.ingest.world import ListChat, world_at


class RevokedChat(ListChat):
    """Chat whose permission is taken back at 20 seconds."""

    is_told = False

    async def drain(self, until_s: float) -> ChatBatch:
        """Tell it once."""
        batch = await super().drain(until_s)
        if until_s < 20.0 or self.is_told:
            return batch
        self.is_told = True
        return replace(batch, notices=(RECONNECT,))


async def test_a_notice_of_chat_is_told_once(tmp_path: Path) -> None:
    async with world_at(tmp_path, FaultyOrigin(ts_segments(), FakeTimer())) as world:
        await world.watch(world.live(), RevokedChat([]), stop_after_s=60).run(world.ctx)
        (told,) = [e for e in await world.events("sessions") if isinstance(e, ChannelDegraded)]
    assert told.reason == "reconnect_twitch"
    assert "Reconnect Twitch" in told.detail
    assert 20.0 <= told.media_s < 30.0
