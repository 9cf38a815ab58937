"""What can be set about Twitch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TwitchSettings:
    """Twitch: how channels are found, what the app may do there, and where its servers are."""

    client_id: str = ""
    """The app's client id, from https://dev.twitch.tv/console; needed to connect accounts."""
    client_secret: str = ""
    """The app's client secret."""
    token_keys: tuple[str, ...] = ()
    """Fernet keys under which tokens lie in the database, the newest first; a key file in
    `data_dir` when empty."""
    quality: tuple[str, ...] = ()
    """Names of renditions to prefer, such as `1080p60`, `720p60`, the first one first; when none of
    them is offered, or this is empty, the best one up to `ingest.height_max`."""
    resolve_at_once: int = 16
    """So many channels or VODs are looked up at the same time."""
    renew_after_s: float = 75_600.0
    """A stream's address is renewed when it is so old; Twitch lets it die at 24 hours."""
    flap_s: float = 300.0
    """A broadcast that comes back within so many seconds goes on in its session."""
    validate_every_s: float = 3_600.0
    """Tokens are validated so often; Twitch asks for once an hour."""
    clip_wait_s: float = 15.0
    """A Twitch clip that is not there after so long has failed."""
    timeout_s: float = 10.0
    """How long an answer of Twitch's API may take."""
    web_client_id: str = "kimne78kx3ncx6brgo4mv6wki5h1ko"
    """Client id of Twitch's own web page; it reads a VOD's chat replay."""
    comments_hash: str = "b70a3591ff0f4e0313d126c6a1502d79a1c02baebb288227c582044aa76adf6a"
    """Name of Twitch's stored query for a VOD's chat; Twitch changes it now and then."""
    gql_url: str = "https://gql.twitch.tv/gql"
    """Twitch's GraphQL: access tokens of streams, and VOD chat."""
    usher_url: str = "https://usher.ttvnw.net"
    """The server of multivariant playlists."""
    helix_url: str = "https://api.twitch.tv/helix"
    """Twitch's API."""
    id_url: str = "https://id.twitch.tv/oauth2"
    """Twitch's login."""
    eventsub_url: str = "wss://eventsub.wss.twitch.tv/ws"
    """Twitch's event socket."""
