"""Why Twitch does not give a stream or VOD, in words for a person.

Law: what may pass is `SourceGone`, what stays is `SourceUnusable`; nothing that came from outside
is repeated unless it is short and plain.
"""

from __future__ import annotations

import json
from typing import Any

from ingest.errors import IngestError, SourceGone, SourceOffline, SourceUnusable
from ingest.twitch.names import TwitchChannel, TwitchVideo

_SAID_MAX = 80


def no_token(what: TwitchChannel | TwitchVideo) -> IngestError:
    """Twitch knows nothing that it could give a token for."""
    if isinstance(what, TwitchChannel):
        return SourceUnusable(
            f"there is no channel {what.login} on Twitch, or it is closed or banned"
        )
    return SourceUnusable(f"there is no VOD {what.video_id} on Twitch; it may have been deleted")


def token_refused(what: TwitchChannel | TwitchVideo, said: str) -> IngestError:
    """Twitch answers, but gives no token; `said` is why."""
    lower = said.lower()
    if "integrity" in lower:
        return SourceGone(
            f"{what.shown} is unavailable: Twitch wants a browser's proof (client integrity) from"
            " this network; try again later or from another one"
        )
    if "persistedquery" in lower.replace(" ", ""):
        return SourceUnusable(
            "Twitch no longer knows how streams are asked for here; update ClipThat"
        )
    return SourceGone(f"{what.shown}: Twitch gives no access now ({_plain(said)})")


def twitch_away(what: TwitchChannel | TwitchVideo, status: int | None) -> IngestError:
    """Twitch itself has trouble, or has been asked too much."""
    if status == 429:
        return SourceGone(f"{what.shown}: Twitch has been asked too often; it is tried again")
    told = "does not answer" if status is None else f"answers with error {status}"
    return SourceGone(f"{what.shown}: Twitch {told} now; it is tried again")


def playlist_refused(
    what: TwitchChannel | TwitchVideo, status: int, body: bytes, token: str
) -> IngestError:
    """The server of playlists says no: `body` is its JSON, `token` what was shown to it."""
    if status == 429 or status >= 500:
        return twitch_away(what, status)
    code, said = _error(body)
    if status == 404:
        if isinstance(what, TwitchChannel):
            return SourceOffline(f"{what.shown} is offline")
        return SourceUnusable(f"VOD {what.video_id} is not there; it may have been deleted")
    where = f"{code} {said}".lower()
    if "geoblock" in where or "region" in where or _geoblocked(token):
        return SourceUnusable(f"{what.shown} is not shown in this server's country or network")
    if isinstance(what, TwitchVideo) and "restricted" in where:
        return SourceUnusable(
            f"VOD {what.video_id} is for subscribers only; its streamer can download it and give"
            " the file"
        )
    if "entitlement" in where or _forbidden(token):
        return SourceUnusable(f"{what.shown} is not open to everybody (subscribers only)")
    return SourceGone(f"{what.shown}: Twitch refuses its playlist ({_plain(said) or status})")


def _error(body: bytes) -> tuple[str, str]:
    """Return the code and text of an answer such as `[{"error": …, "error_code": …}]`."""
    told = _json(body)
    if isinstance(told, list) and told:
        told = told[0]
    if not isinstance(told, dict):
        return "", ""
    return str(told.get("error_code", "")), str(told.get("error", ""))


def _geoblocked(token: str) -> bool:
    told = _json(token)
    return isinstance(told, dict) and bool(told.get("geoblock_reason"))


def _forbidden(token: str) -> bool:
    told = _json(token)
    allowed = told.get("authorization") if isinstance(told, dict) else None
    return isinstance(allowed, dict) and allowed.get("forbidden") is True


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _plain(said: str) -> str:
    return "".join(letter for letter in said if letter.isprintable())[:_SAID_MAX]
