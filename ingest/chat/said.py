"""What a feeder has heard somebody say, before the line of chat is made of it.

Law: pure. To hear costs next to nothing: names are hashed and badges and emotes read only when
the line is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ingest.chat.line import TEXT_CHARS_MAX, ChatLine, Role, hashed

EMOTES_MAX = 100
"""A line tells at most so many emotes."""


class Said(Protocol):
    """One message, from whoever heard it."""

    @property
    def message_id(self) -> str:
        """Twitch's id, the same from every feeder; empty when it tells none."""
        ...

    @property
    def sent_s(self) -> float | None:
        """Unix time at which Twitch says that it was sent; None when it does not."""
        ...

    @property
    def size_chars(self) -> int:
        """What it takes to keep it, in characters."""
        ...

    @property
    def login(self) -> str:
        """Who said it."""
        ...

    def line(self, t_s: float) -> ChatLine:
        """Return the line of chat, at media time `t_s`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SaidPlainly:
    """A `Said` whose every part is known."""

    message_id: str
    sent_s: float | None
    login: str
    text: str
    role: Role = "viewer"
    emotes: tuple[str, ...] = ()
    """Codes of the emotes in the text, once for each time they stand there."""

    @property
    def size_chars(self) -> int:
        """The text's length."""
        return len(self.text)

    def line(self, t_s: float) -> ChatLine:
        """Return the line of chat, cut to its limits."""
        return ChatLine(
            t_s=t_s,
            user=hashed(self.login),
            text=self.text[:TEXT_CHARS_MAX],
            role=self.role,
            emotes=self.emotes[:EMOTES_MAX],
            message_id=self.message_id,
            sent_s=self.sent_s,
        )
