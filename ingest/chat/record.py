"""One record of a chat file made into a line: TwitchDownloader's comment or our own JSON line.

Law: pure. A record that is not understood is None, never an exception: one bad record must not
cost the chat of a whole stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import orjson

from ingest.chat.line import TEXT_CHARS_MAX, ChatLine, Role, hashed

_ROLES: tuple[tuple[Role, frozenset[str]], ...] = (
    ("broadcaster", frozenset({"broadcaster"})),
    ("moderator", frozenset({"moderator", "lead_moderator"})),
    ("vip", frozenset({"vip"})),
    ("subscriber", frozenset({"subscriber", "founder"})),
)
_ROLE_NAMES = frozenset(name for name, _ in _ROLES) | {"viewer"}
_EMOTES_MAX = 100


@dataclass(frozen=True, slots=True)
class GapRecord:
    """A media second of which a chat log says that its reader was cut off."""

    second: int


def role_of(badges: set[str]) -> Role:
    """Return the highest role that a user's badges tell."""
    for role, names in _ROLES:
        if badges & names:
            return role
    return "viewer"


def parse_record(
    record: object, *, wall_start_s: float | None, by_wall_clock: bool
) -> ChatLine | GapRecord | None:
    """Return the line that a decoded JSON record tells, or None when it tells none.

    Args:
        record: what the JSON decoder gave.
        wall_start_s: Unix time of media second zero, if known.
        by_wall_clock: prefer the time at which a line was sent to its `t_s`.
    """
    if not isinstance(record, dict):
        return None
    if "content_offset_seconds" in record:
        return _comment(record)
    second = record.get("gap_s")
    if isinstance(second, int) and not isinstance(second, bool):
        return GapRecord(second)
    return _plain(record, wall_start_s, by_wall_clock)


def _plain(
    record: dict[str, object], wall_start_s: float | None, by_wall_clock: bool
) -> ChatLine | None:
    text = record.get("text")
    if not isinstance(text, str):
        return None
    sent_ms = _number(record.get("sent_ms"))
    sent_s = None if sent_ms is None else sent_ms / 1000.0
    t_s = _number(record.get("t_s"))
    on_wall = None if sent_s is None or wall_start_s is None else sent_s - wall_start_s
    if on_wall is not None and (by_wall_clock or t_s is None):
        t_s = on_wall
    if t_s is None:
        return None
    role = record.get("role")
    emotes = record.get("emotes")
    return ChatLine(
        t_s=t_s,
        user=hashed(_name(record.get("user"))),
        text=text[:TEXT_CHARS_MAX],
        role=cast(Role, role) if role in _ROLE_NAMES else "viewer",
        emotes=tuple(str(emote) for emote in emotes[:_EMOTES_MAX])
        if isinstance(emotes, list)
        else (),
        message_id=_name(record.get("message_id"), missing=""),
        sent_s=sent_s,
    )


def _comment(record: dict[str, object]) -> ChatLine | None:
    t_s = _number(record.get("content_offset_seconds"))
    message = record.get("message")
    if t_s is None or not isinstance(message, dict):
        return None
    text = message.get("body")
    if not isinstance(text, str):
        return None
    commenter = record.get("commenter")
    user = commenter if isinstance(commenter, dict) else {}
    return ChatLine(
        t_s=t_s,
        user=hashed(_name(user.get("name") or user.get("display_name") or user.get("_id"))),
        text=text[:TEXT_CHARS_MAX],
        role=role_of({str(badge.get("_id")) for badge in _dicts(message.get("user_badges"))}),
        emotes=tuple(
            str(fragment.get("text", "")).strip()
            for fragment in _dicts(message.get("fragments"))
            if fragment.get("emoticon")
        )[:_EMOTES_MAX],
        message_id=_name(record.get("_id"), missing=""),
    )


def to_json(line: ChatLine) -> bytes:
    """Return the JSON line, newline included, that `parse_record` reads back as `line`."""
    record: dict[str, object] = {"t_s": line.t_s, "user": line.user, "text": line.text}
    if line.role != "viewer":
        record["role"] = line.role
    if line.emotes:
        record["emotes"] = list(line.emotes)
    if line.message_id:
        record["message_id"] = line.message_id
    if line.sent_s is not None:
        record["sent_ms"] = round(line.sent_s * 1000)
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _dicts(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        return []
    return [entry for entry in value if isinstance(entry, dict)]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _name(value: object, missing: str = "unknown") -> str:
    return str(value) if isinstance(value, str | int) and str(value) else missing
