"""The fast way from a line of IRC to what somebody said.

Law: pure, and the same as `said_of(parse_message(line))`, at a fraction of the work: a message in
the form in which Twitch writes it is only split; names, badges, emotes and the text are read when
the line of chat is made. Anything else is left to the slow way.
"""

from __future__ import annotations

from ingest.chat.irc_parse import ACTION, badge_role, emote_codes, sent_time, unescaped
from ingest.chat.line import TEXT_CHARS_MAX, ChatLine, hash_of


class IrcSaid:
    """A `Said` that is still the server's line, split at its first spaces."""

    __slots__ = ("_prefix", "_tags", "_text", "message_id", "sent_s")

    def __init__(self, tags: str, prefix: str, text: str) -> None:
        """Made by `said_in`: the tags with `@`, the prefix with `:`, the text with `:`."""
        self._tags = tags
        self._prefix = prefix
        self._text = text
        # What every message is asked for is read here, without a call for each tag.
        at = tags.rfind(";id=")
        end = tags.find(";", at + 4)
        if at < 0 or end < 0:
            self.message_id = _tag(tags, ";id=")
        else:
            value = tags[at + 4 : end]
            self.message_id = unescaped(value) if "\\" in value else value
        at = tags.rfind(";tmi-sent-ts=")
        value = tags[at + 13 : at + 26]
        if at >= 0 and value.isdecimal() and tags[at + 26 : at + 27] == ";":
            self.sent_s: float | None = int(value) / 1000.0
        else:
            self.sent_s = sent_time(_tag(tags, ";tmi-sent-ts="))

    @property
    def size_chars(self) -> int:
        """The length of what is kept."""
        return len(self._tags) + len(self._prefix) + len(self._text)

    @property
    def login(self) -> str:
        """The name before `!` in the prefix."""
        return self._prefix[1 : self._prefix.index("!")]

    def line(self, t_s: float) -> ChatLine:
        """Return the line of chat, at media time `t_s`."""
        text = self._text[1:]
        if text.startswith(ACTION):
            text = text[len(ACTION) :].rstrip("\x01")
        badges = _tag(self._tags, ";badges=")
        emotes = _tag(self._tags, ";emotes=")
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
    try:
        tags, prefix, command, channel, text = line.split(" ", 4)
    except ValueError:
        return None
    if (
        command != "PRIVMSG"
        or tags[:1] != "@"
        or prefix[:1] != ":"
        or text[:1] != ":"
        or channel[:1] != "#"
        or len(channel) < 2
        or prefix.find("!") < 2
    ):
        return None
    return channel[1:], IrcSaid(tags, prefix, text)


def _tag(tags: str, key: str) -> str:
    """Return the last value of a tag; `key` is `;name=`."""
    at = tags.rfind(key)
    if at < 0:
        if not tags.startswith(key[1:], 1):
            return ""
        at = 0
    at += len(key)
    end = tags.find(";", at)
    value = tags[at:] if end < 0 else tags[at:end]
    return unescaped(value) if "\\" in value else value
