"""What Twitch's login answers, read.

Law: pure; an answer that is not whole is an error, never half a permission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from store.twitch.errors import LoginUnavailable

TOKEN_CHARS_MAX = 4_096
"""No token of Twitch's is so long; more is not stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A permission as Twitch has just given or renewed it."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    scopes: frozenset[str]
    expires_in_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Whose token it is, as `/validate` says."""

    user_id: str
    login: str
    scopes: frozenset[str]
    expires_in_s: float


def read_grant(answer: Mapping[str, object], *, before: str = "") -> Grant:
    """Return what `/token` has given.

    `before`: the refresh token that stays in use when the answer names no new one.

    Raises:
        LoginUnavailable: the answer is not what Twitch documents.
    """
    return Grant(
        access_token=_token(answer.get("access_token")),
        refresh_token=_token(answer.get("refresh_token") or before),
        scopes=_scopes(answer.get("scope")),
        expires_in_s=_seconds(answer.get("expires_in")),
    )


def read_holder(answer: Mapping[str, object], client_id: str) -> Holder:
    """Return what `/validate` says of a user's token.

    Raises:
        LoginUnavailable: the answer is not what Twitch documents, or tells of another app.
    """
    user_id, login = answer.get("user_id"), answer.get("login")
    if not (isinstance(user_id, str) and user_id and isinstance(login, str) and login):
        raise LoginUnavailable("Twitch's answer does not say whose token it is")
    if answer.get("client_id") != client_id:
        raise LoginUnavailable("Twitch's answer tells of another app's token")
    return Holder(
        user_id=user_id,
        login=login.lower(),
        scopes=_scopes(answer.get("scopes")),
        expires_in_s=_seconds(answer.get("expires_in")),
    )


def _token(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= TOKEN_CHARS_MAX:
        return value
    raise LoginUnavailable("Twitch's answer has no token in it")


def _scopes(value: object) -> frozenset[str]:
    """Twitch gives a list where the standard has one text with spaces."""
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        return frozenset(each for each in value if isinstance(each, str) and each)
    return frozenset()


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    return 0.0
