"""IRC as Twitch speaks it: bytes in, messages and lines of chat out.

Law: pure, no socket and no clock. Nothing that a server or a user writes raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ingest.chat.errors import ChatAddressError
from ingest.chat.line import TEXT_CHARS_MAX, ChatLine, hashed
from ingest.chat.record import role_of

_UNESCAPED = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_ESCAPE = re.compile(r"\\(.?)")
_CHANNEL = re.compile(r"[a-z0-9_]{1,25}")
_EMOTES_MAX = 100
_PORTS = {"wss": 443, "ws": 80, "ircs": 6697, "irc": 6667}


@dataclass(frozen=True, slots=True)
class IrcMessage:
    """One message of the server."""

    command: str
    params: tuple[str, ...] = ()
    user: str = ""
    """Login name in the prefix; the server's own name where it has no user."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IrcAddress:
    """A server and a channel on it."""

    scheme: str
    host: str
    port: int
    channel: str

    @property
    def is_websocket(self) -> bool:
        """Whether IRC travels in WebSocket messages there."""
        return self.scheme in {"ws", "wss"}

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.scheme in {"wss", "ircs"}


def parse_address(address: str, default_url: str) -> IrcAddress:
    """Return the server and channel that `#name`, `name` or `irc://host:port/#name` means.

    Raises:
        ChatAddressError: it is none of these.
    """
    text = address.strip()
    if "://" not in text:
        text = f"{default_url.rstrip('/')}/{text}"
    parts = urlsplit(text)
    channel = (parts.fragment or parts.path.strip("/")).lstrip("#").casefold()
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if (
        port is None
        or parts.scheme not in _PORTS
        or not parts.hostname
        or not _CHANNEL.fullmatch(channel)
    ):
        raise ChatAddressError(
            f"{address!r} is no chat address; expected a channel's name, or "
            "irc://host:port/#name, ircs://, ws:// or wss://"
        )
    return IrcAddress(parts.scheme, parts.hostname, port, channel)


def parse_message(line: str) -> IrcMessage | None:
    """Return the message of one line without its end, or None when it is empty."""
    rest = line.strip("\r\n")
    tags: dict[str, str] = {}
    if rest.startswith("@"):
        raw_tags, _, rest = rest[1:].partition(" ")
        tags = _tags(raw_tags)
        rest = rest.lstrip(" ")
    user = ""
    if rest.startswith(":"):
        prefix, _, rest = rest[1:].partition(" ")
        user = prefix.partition("!")[0]
        rest = rest.lstrip(" ")
    head, colon, trailing = rest.partition(" :")
    words = head.split()
    if not words:
        return None
    params = (*words[1:], trailing) if colon else tuple(words[1:])
    return IrcMessage(words[0].upper(), params, user, tags)


def chat_line(message: IrcMessage, wall_start_s: float, now_s: float) -> ChatLine | None:
    """Return the line of chat that a PRIVMSG carries, on the media clock.

    Args:
        message: what the server sent.
        wall_start_s: Unix time of media second zero.
        now_s: Unix time of arrival; stands in where the server does not tell when it was sent.
    """
    if message.command != "PRIVMSG" or len(message.params) < 2 or not message.user:
        return None
    text = message.params[-1]
    if text.startswith("\x01ACTION "):
        text = text[8:].rstrip("\x01")
    sent_ms = message.tags.get("tmi-sent-ts", "")
    sent_s = int(sent_ms) / 1000.0 if sent_ms.isdecimal() and len(sent_ms) < 16 else None
    badges = {badge.partition("/")[0] for badge in message.tags.get("badges", "").split(",")}
    return ChatLine(
        t_s=(now_s if sent_s is None else sent_s) - wall_start_s,
        user=hashed(message.user),
        text=text[:TEXT_CHARS_MAX],
        role=role_of(badges),
        emotes=_emotes(message.tags.get("emotes", ""), text),
        message_id=message.tags.get("id", ""),
        sent_s=sent_s,
    )


def _tags(raw: str) -> dict[str, str]:
    pairs = (tag.partition("=") for tag in raw.split(";") if tag)
    return {key: _ESCAPE.sub(_unescaped, value) for key, _, value in pairs}


def _unescaped(match: re.Match[str]) -> str:
    return _UNESCAPED.get(match[1], match[1])


def _emotes(tag: str, text: str) -> tuple[str, ...]:
    """Return the codes that a tag such as `25:0-4,12-16/1902:6-10` points at in the text."""
    codes = []
    for emote in tag.split("/"):
        for span in emote.partition(":")[2].split(","):
            first, _, last = span.partition("-")
            if first.isdecimal() and last.isdecimal() and len(first) < 5 and len(last) < 5:
                codes.append(text[int(first) : int(last) + 1])
    return tuple(code for code in codes if code)[:_EMOTES_MAX]
