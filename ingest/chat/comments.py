"""Twitch's answers about a VOD's chat, read into lines.

Law: pure. A comment that is not understood is counted and left out; a whole answer that is not is a
refusal with words for a person, never an empty chat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ingest.chat.line import TEXT_CHARS_MAX, ChatLine, hashed
from ingest.chat.record import role_of

_EMOTES_MAX = 100
_SAID_CHARS = 120
_TRANSIENT = ("service timeout", "service unavailable", "service error", "internal server error")


@dataclass(frozen=True, slots=True)
class Comments:
    """One page."""

    lines: tuple[ChatLine, ...]
    last_s: float | None
    """Where the page's last comment stands; None when it tells none."""
    cursor: str
    """Opens the page behind this one; empty when there is none."""
    has_more: bool
    malformed: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Twitch gives no page, and why."""

    said: str
    integrity: bool = False
    """Only a browser may ask so."""
    passing: bool = False
    """Asking again may help."""


def read_comments(answer: object) -> Comments | Refusal:
    """Return what an answer of `VideoCommentsByOffsetOrCursor` tells."""
    if isinstance(answer, list):
        answer = answer[0] if answer else None
    if not isinstance(answer, dict):
        return Refusal("the answer is not understood", passing=True)
    video = _dict(_dict(answer.get("data")).get("video"))
    page = _dict(video.get("comments"))
    edges = page.get("edges")
    if isinstance(edges, list):
        return _page(edges, _dict(page.get("pageInfo")))
    said = _errors(answer)
    if said:
        return _refused(said)
    if not video:
        return Refusal("the VOD is not there any more, or is not open to everybody")
    return Refusal("the VOD has no chat replay")


def _refused(said: str) -> Refusal:
    lower = said.lower()
    if "integrity" in lower:
        return Refusal("it wants a browser's proof (client integrity)", integrity=True)
    if "persistedquery" in lower.replace(" ", ""):
        return Refusal("it no longer knows the query (twitch.comments_hash)")
    return Refusal(said, passing=any(words in lower for words in _TRANSIENT))


def _errors(answer: dict[str, Any]) -> str:
    errors = answer.get("errors")
    if not isinstance(errors, list):
        return str(answer.get("message", ""))[:_SAID_CHARS] if "error" in answer else ""
    said = "; ".join(str(_dict(error).get("message", "an error")) for error in errors)
    return "".join(letter for letter in said if letter.isprintable())[:_SAID_CHARS]


def _page(edges: list[Any], info: dict[str, Any]) -> Comments:
    lines: list[ChatLine] = []
    malformed = 0
    last_s: float | None = None
    cursor = ""
    for edge in map(_dict, edges):
        cursor = str(edge.get("cursor") or "") or cursor
        node = _dict(edge.get("node"))
        at_s = _offset(node)
        if at_s is not None:
            last_s = at_s if last_s is None else max(last_s, at_s)
        line = None if at_s is None else _line(node, at_s)
        if line is None:
            malformed += 1
        else:
            lines.append(line)
    has_more = info.get("hasNextPage") is True
    return Comments(tuple(lines), last_s, cursor if has_more else "", has_more, malformed)


def _line(node: dict[str, Any], at_s: float) -> ChatLine | None:
    message = _dict(node.get("message"))
    fragments = message.get("fragments")
    if not isinstance(fragments, list):
        return None
    pieces = [_dict(fragment) for fragment in fragments]
    text = "".join(str(piece.get("text") or "") for piece in pieces)
    # The account may be gone; what it wrote is still there.
    commenter = _dict(node.get("commenter"))
    name = commenter.get("login") or commenter.get("displayName") or commenter.get("id")
    badges = message.get("userBadges")
    return ChatLine(
        t_s=at_s,
        user=hashed(str(name or "unknown")),
        text=text[:TEXT_CHARS_MAX],
        role=role_of(
            {str(_dict(b).get("setID", "")) for b in badges} if isinstance(badges, list) else set()
        ),
        emotes=tuple(
            str(piece.get("text") or "").strip() for piece in pieces if piece.get("emote")
        )[:_EMOTES_MAX],
        message_id=str(node.get("id") or ""),
    )


def _offset(node: dict[str, Any]) -> float | None:
    value = node.get("contentOffsetSeconds")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
