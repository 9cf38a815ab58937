"""Where a stream or VOD can be read: an address that stays, or one that has to be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What was found behind an address."""

    url: str = field(repr=False)
    """Of the multivariant or media playlist."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """To be sent with each request for the playlists and segments."""
    playlist: bytes = field(default=b"", repr=False)
    """What lies at `url`, when it has been read already."""
    fleeting: bool = False
    """Whatever the playlists name dies soon: no segment can be read again later."""
    broadcast_id: str = ""
    """The platform's name for this broadcast or VOD; empty when it has none."""
    title: str = ""


class Address(Protocol):
    """Finds a stream or VOD, again and again: what it returns may die."""

    @property
    def shown(self) -> str:
        """The address as a person knows it; never holds a token."""
        ...

    async def resolve(self) -> Resolved:
        """Find it.

        Raises:
            SourceUnusable: it can never be watched, and why.
            SourceGone: it is offline, or cannot be found now.
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedAddress:
    """An address that a person has given and that stays."""

    url: str

    @property
    def shown(self) -> str:
        """The address itself."""
        return self.url

    async def resolve(self) -> Resolved:
        """Return the address itself."""
        return Resolved(url=self.url)
