"""The fast way from a line of IRC to what somebody said.

Law: pure, and the same as `said_of(parse_message(line))`, at a fraction of the work: a message in
the form in which Twitch writes it is only sliced; names, badges, emotes and the text are read when
the line of chat is made. Anything else goes the slow way.
"""

from __future__ import annotations

from ingest.chat.irc_parse import ACTION, badge_role, emote_codes, sent_time, unescaped
from ingest.chat.line import TEXT_CHARS_MAX, ChatLine, hash_of

_PRIVMSG = " PRIVMSG #"
_PRIVMSG_CHARS = len(_PRIVMSG)


class IrcSaid:
    """A `Said` that is still the server's line, and where in it the parts begin."""

    __slots__ = ("_login_at", "_raw", "_tags_end", "_text_at", "message_id", "sent_s")

    def __init__(self, raw: str, tags_end: int, login_at: int, text_at: int) -> None:
        """Made by `said_in`."""
        self._raw = raw
        self._tags_end = tags_end
        self._login_at = login_at
        self._text_at = text_at
        self.message_id = _tag(raw, tags_end, ";id=")
        self.sent_s = sent_time(_tag(raw, tags_end, ";tmi-sent-ts="))

    @property
    def size_chars(self) -> int:
        """The whole line's length."""
        return len(self._raw)

    @property
    def login(self) -> str:
        """The name before `!` in the prefix."""
        return self._raw[self._login_at : self._raw.index("!", self._login_at)]

    def line(self, t_s: float) -> ChatLine:
        """Return the line of chat, at media time `t_s`."""
        raw, tags_end = self._raw, self._tags_end
        text = raw[self._text_at :]
        if text.startswith(ACTION):
            text = text[len(ACTION) :].rstrip("\x01")
        badges = _tag(raw, tags_end, ";badges=")
        emotes = _tag(raw, tags_end, ";emotes=")
        return ChatLine(
            t_s=t_s,
            user=hash_of(self.login),
            text=text[:TEXT_CHARS_MAX],
            role=badge_role(badges) if badges else "viewer",
            emotes=emote_codes(emotes, text) if emotes else (),
            message_id=self.message_id,
            sent_s=self.sent_s,
        )


def said_in(line: str) -> tuple[str, IrcSaid] | None:
    """Return the channel and what was said there; None for a line in any other form.

    Args:
        line: one message of the server without its end.
    """
    tags_end = 0
    prefix_at = 0
    if line[:1] == "@":
        tags_end = line.find(" ")
        prefix_at = tags_end + 1
    if line[prefix_at : prefix_at + 1] != ":":
        return None
    command_at = line.find(" ", prefix_at)
    if not line.startswith(_PRIVMSG, command_at) or command_at < 0:
        return None
    channel_at = command_at + _PRIVMSG_CHARS
    channel_end = line.find(" ", channel_at)
    if channel_end <= channel_at or line[channel_end + 1 : channel_end + 2] != ":":
        return None
    login_end = line.find("!", prefix_at, command_at)
    if login_end <= prefix_at + 1:
        return None
    said = IrcSaid(line, tags_end, prefix_at + 1, channel_end + 2)
    return line[channel_at:channel_end], said


def _tag(line: str, tags_end: int, key: str) -> str:
    """Return the last value of a tag; `key` is `;name=`."""
    at = line.rfind(key, 0, tags_end)
    if at < 0:
        if not line.startswith(key[1:], 1, tags_end):
            return ""
        at = 0
    at += len(key)
    end = line.find(";", at, tags_end)
    value = line[at:tags_end] if end < 0 else line[at:end]
    return unescaped(value) if "\\" in value else value
