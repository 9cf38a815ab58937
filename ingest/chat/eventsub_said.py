"""A `channel.chat.message` event made into what somebody said.

Law: pure; nothing that the event holds raises. What must be there is the text, who wrote it and the
message's id, without which it could count twice; all else may be missing. The event tells no sent
time of its own: the time at which Twitch sent it on stands for it, a fraction of a second later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ingest.chat.record import role_of
from ingest.chat.said import SaidPlainly

_ACTION = "\x01ACTION "


def said(event: Mapping[str, object], sent_s: float | None) -> SaidPlainly | None:
    """Return what an event tells, or None when a part is missing without which it is nothing.

    Args:
        event: the notification's event.
        sent_s: Unix time at which Twitch sent it.
    """
    message = event.get("message")
    login = event.get("chatter_user_login")
    message_id = event.get("message_id")
    text = message.get("text") if isinstance(message, dict) else None
    if not (
        isinstance(message, dict)
        and isinstance(text, str)
        and isinstance(login, str)
        and login
        and isinstance(message_id, str)
        and message_id
    ):
        return None
    if text.startswith(_ACTION):
        text = text[len(_ACTION) :].rstrip("\x01")
    badges = {str(badge.get("set_id")) for badge in _dicts(event.get("badges"))}
    return SaidPlainly(
        message_id=message_id,
        sent_s=sent_s,
        login=login,
        text=text,
        role=role_of(badges),
        emotes=tuple(_emotes(message.get("fragments"))),
    )


def _emotes(fragments: object) -> Iterator[str]:
    for fragment in _dicts(fragments):
        code = fragment.get("text")
        if fragment.get("type") == "emote" and isinstance(code, str) and code.strip():
            yield code.strip()


def _dicts(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))
