"""What a person writes for a channel or VOD on Twitch.

Law: what is not Twitch's is None; what is Twitch's but nothing to watch is an error that says what
to write instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from ingest.errors import SourceUnusable

_HOSTS = frozenset({"twitch.tv", "www.twitch.tv", "m.twitch.tv", "go.twitch.tv"})
_CLIP_HOST = "clips.twitch.tv"
_PLAYER_HOST = "player.twitch.tv"
_LOGIN = re.compile(r"[a-z0-9_]{1,25}\Z")
_VIDEO = re.compile(r"v?([0-9]{1,20})\Z")
_PAGES = frozenset(
    {"about", "clips", "home", "popout", "schedule", "squad", "videos", "embed", "chat"}
)
"""Pages of a channel that stand for the channel itself."""
_NO_CHANNELS = frozenset(
    {"directory", "downloads", "jobs", "p", "search", "settings", "subscriptions", "wallet"}
)
"""First parts of Twitch's own pages, which no channel can be called."""


@dataclass(frozen=True, slots=True)
class TwitchChannel:
    """A channel."""

    login: str
    """Lower case, as in the address of its page."""

    @property
    def shown(self) -> str:
        """Its address as a person knows it."""
        return f"twitch.tv/{self.login}"


@dataclass(frozen=True, slots=True)
class TwitchVideo:
    """A VOD."""

    video_id: str
    """Digits."""

    @property
    def shown(self) -> str:
        """Its address as a person knows it."""
        return f"twitch.tv/videos/{self.video_id}"


def read_twitch(text: str) -> TwitchChannel | TwitchVideo | None:
    """Return what an address names on Twitch, None when it is not Twitch's.

    Raises:
        SourceUnusable: it is Twitch's but names neither a channel nor a VOD; says what does.
    """
    text = text.strip()
    try:
        address = urlsplit(text if "://" in text else f"https://{text}")
        host = (address.hostname or "").lower()
    except ValueError:
        return None
    if address.scheme not in ("http", "https"):
        return None
    if host == _CLIP_HOST:
        raise _clip(text)
    query = {name: values[-1] for name, values in parse_qs(address.query).items()}
    parts = [part for part in address.path.split("/") if part]
    if host == _PLAYER_HOST:
        parts = _played(query)
    elif host not in _HOSTS:
        return None
    return _named(text, parts)


def is_login(text: str) -> bool:
    """Tell whether this can be a channel's name, in lower case."""
    return _LOGIN.match(text) is not None


def _played(query: dict[str, str]) -> list[str]:
    if "video" in query:
        return ["videos", query["video"]]
    return [query["channel"]] if "channel" in query else []


def _named(text: str, parts: list[str]) -> TwitchChannel | TwitchVideo | None:
    lower = [part.lower() for part in parts]
    if lower[:1] == ["videos"] and len(lower) == 2:
        return _video(text, lower[1])
    if len(lower) == 3 and lower[1] in ("v", "video", "videos"):
        return _video(text, lower[2])
    if (len(lower) == 3 and lower[1] == "clip") or lower[:1] == ["clip"]:
        raise _clip(text)
    if lower[:1] in (["popout"], ["moderator"], ["embed"]) and len(lower) > 1:
        lower = lower[1:]
    channel = len(lower) == 1 or (len(lower) > 1 and lower[1] in _PAGES)
    if channel and is_login(lower[0]) and lower[0] not in _NO_CHANNELS | {"videos"}:
        return TwitchChannel(lower[0])
    raise SourceUnusable(
        f"{text} names no channel and no VOD; write twitch.tv/NAME, or twitch.tv/videos/NUMBER"
    )


def _video(text: str, number: str) -> TwitchVideo:
    match = _VIDEO.match(number)
    if match is None:
        raise SourceUnusable(f"{text} names no VOD; write twitch.tv/videos/NUMBER")
    return TwitchVideo(match.group(1))


def _clip(text: str) -> SourceUnusable:
    return SourceUnusable(
        f"{text} is a clip already; give the channel (twitch.tv/NAME) to watch it live, or the VOD"
        " that the clip was taken from (twitch.tv/videos/NUMBER)"
    )
