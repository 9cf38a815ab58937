"""IRC as Twitch speaks it: text in, messages and what was said out.

Law: pure, no socket and no clock. Nothing that a server or a user writes raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ingest.chat.errors import ChatAddressError
from ingest.chat.line import Role
from ingest.chat.record import role_of
from ingest.chat.said import EMOTES_MAX, SaidPlainly

ACTION = "\x01ACTION "
"""Begins what `/me` makes of a text."""
_UNESCAPED = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_CHANNEL = re.compile(r"[a-z0-9_]{1,25}")
_PORTS = {"wss": 443, "ws": 80, "ircs": 6697, "irc": 6667}


@dataclass(frozen=True, slots=True)
class IrcMessage:
    """One message of the server."""

    command: str
    params: tuple[str, ...] = ()
    user: str = ""
    """Login name in the prefix; empty when the server itself speaks."""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def channel(self) -> str:
        """The first parameter that names a channel, without `#`; empty when none does."""
        return next((param[1:] for param in self.params if param.startswith("#")), "")


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
    rest = line
    tags: dict[str, str] = {}
    if rest.startswith("@"):
        raw_tags, _, rest = rest[1:].partition(" ")
        tags = _tags(raw_tags)
        rest = rest.lstrip(" ")
    user = ""
    if rest.startswith(":"):
        prefix, _, rest = rest[1:].partition(" ")
        name, bang, _ = prefix.partition("!")
        user = name if bang else ""
        rest = rest.lstrip(" ")
    head, colon, trailing = rest.partition(" :")
    words = [word for word in head.split(" ") if word]
    if not words:
        return None
    params = (*words[1:], trailing) if colon else tuple(words[1:])
    return IrcMessage(words[0].upper(), params, user, tags)


def said_of(message: IrcMessage) -> SaidPlainly | None:
    """Return what somebody said in a channel; None when the message tells anything else."""
    if message.command != "PRIVMSG" or len(message.params) < 2 or not message.user:
        return None
    if len(message.params[0]) < 2 or message.params[0][0] != "#":
        return None
    text = message.params[-1]
    if text.startswith(ACTION):
        text = text[len(ACTION) :].rstrip("\x01")
    return SaidPlainly(
        message_id=message.tags.get("id", ""),
        sent_s=sent_time(message.tags.get("tmi-sent-ts", "")),
        login=message.user,
        text=text,
        role=badge_role(message.tags.get("badges", "")),
        emotes=emote_codes(message.tags.get("emotes", ""), text),
    )


def sent_time(tag: str) -> float | None:
    """Return the Unix time that `tmi-sent-ts` tells, in seconds; None when it tells none."""
    return int(tag) / 1000.0 if tag.isdecimal() and len(tag) < 16 else None


def badge_role(tag: str) -> Role:
    """Return the highest role in a tag such as `subscriber/12,moderator/1`."""
    return role_of({badge.partition("/")[0] for badge in tag.split(",")})


def emote_codes(tag: str, text: str) -> tuple[str, ...]:
    """Return the codes that a tag such as `25:0-4,12-16/1902:6-10` points at in the text."""
    codes = []
    for emote in tag.split("/"):
        for span in emote.partition(":")[2].split(","):
            first, _, last = span.partition("-")
            if first.isdecimal() and last.isdecimal() and len(first) < 5 and len(last) < 5:
                code = text[int(first) : int(last) + 1]
                if code:
                    codes.append(code)
                    if len(codes) >= EMOTES_MAX:
                        return tuple(codes)
    return tuple(codes)


def unescaped(value: str) -> str:
    """Return a tag's value as it was before it was put into a tag."""
    return _ESCAPE.sub(_unescape, value)


def _tags(raw: str) -> dict[str, str]:
    pairs = (tag.partition("=") for tag in raw.split(";"))
    return {key: unescaped(value) for key, equals, value in pairs if equals}


def _unescape(match: re.Match[str]) -> str:
    return _UNESCAPED.get(match[1], match[1])
