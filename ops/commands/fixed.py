"""The channels that the settings and the command line name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.twitch.names import TwitchChannel
from ops.commands.live import channel_of, chat_address, live_place, stream_name
from ops.errors import OpsError
from ops.settings import ChannelSettings
from store.state.watchlist import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed:
    """A channel of the settings or the command line, understood."""

    place: Place
    title: str
    chat: str
    """As `chat_address` returns it."""


def read_fixed(channels: Sequence[ChannelSettings]) -> dict[str, Fixed]:
    """Return the channels by id.

    Raises:
        OpsError: one cannot be watched, is named twice, or has a chat that is none.
    """
    fixed: dict[str, Fixed] = {}
    for channel in channels:
        where = live_place(channel.url)
        channel_id = channel_of(where)
        if channel_id in fixed:
            raise OpsError(f"{channel.url} is named twice; a channel is watched once")
        if isinstance(where, TwitchChannel):
            login = where.login
            place = Place(id=channel_id, name=login, url=where.shown, kind="twitch")
        else:
            login = ""
            name = channel.name or stream_name(where)
            place = Place(id=channel_id, name=name, url=where, kind="hls")
        chat = chat_address(channel.chat, channel.name, login)
        fixed[channel_id] = Fixed(place=place, title=channel.name, chat=chat)
    return fixed
