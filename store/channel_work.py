"""What an ingest worker is told of the channel that it leases.

Law: it is all that a worker needs to watch, for it has neither the watch list nor the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelWork:
    """A channel's place, and where its chat comes from."""

    id: str
    """The channel's id in its sessions; also of the lease."""
    name: str
    """Its login on Twitch, or its address without secrets."""
    url: str = field(repr=False)
    """What is watched: `twitch.tv/NAME`, or a playlist's address."""
    kind: str
    """`twitch`, `hls`."""
    chat: str = ""
    """Where its chat comes from, as `ops.commands.live.chat_address` returns it; empty: none."""
    title: str = ""
    """What the pages call its sessions; the stream's own words when empty."""
    eventsub: bool = False
    """Its chat may be heard over event sockets, because its owner has connected Twitch and allowed
    it; `Beat.connected` tells when that changes."""

    def as_json(self) -> dict[str, Any]:
        """Return it as a lease carries it."""
        return asdict(self)

    @classmethod
    def of(cls, work: Mapping[str, Any]) -> ChannelWork:
        """Return what a lease carries; what a newer control plane adds is left out.

        Raises:
            ValueError: something is missing.
        """
        known = {each.name: work[each.name] for each in fields(cls) if each.name in work}
        try:
            return cls(**known)
        except TypeError as error:
            raise ValueError(f"this is no channel's work: {error}") from error
