"""Asks Twitch for an access token the way streamlink's plugin does, and for nothing else.

Law: one streamlink session a look, thrown away after it; no stream is opened, no browser started.
These are private names of streamlink: the version is pinned, and a contract test tells when they
move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import HTTPError
from streamlink.exceptions import PluginError
from streamlink.options import Options
from streamlink.plugins.twitch import Twitch
from streamlink.session.session import Streamlink

from ingest.twitch.names import TwitchChannel, TwitchVideo
from ingest.twitch.refusals import no_token, token_refused, twitch_away
from store.twitch.settings import TwitchSettings

GQL = "https://gql.twitch.tv/gql"
USHER = "https://usher.ttvnw.net"
_PLAYER = "https://player.twitch.tv"
_CODECS = ("h264", "h265", "av1")
_NOT_SENT = frozenset({"accept-encoding", "connection"})
"""How the body is packed and the line is kept is the business of whoever reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """What opens a channel's or VOD's playlists, for a day."""

    url: str = field(repr=False)
    """Of the multivariant playlist; holds the token."""
    token: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What Twitch's page says."""

    broadcast_id: str = ""
    title: str = ""


class _Elsewhere(HTTPAdapter):
    """Sends requests for one of Twitch's addresses to another one."""

    def __init__(self, known: str, wanted: str) -> None:
        super().__init__()
        self._known = known
        self._wanted = wanted

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        request.url = self._wanted + (request.url or "").removeprefix(self._known)
        request.headers.pop("Host", None)
        return super().send(request, *args, **kwargs)


def ask_pass(what: TwitchChannel | TwitchVideo, settings: TwitchSettings) -> Pass:
    """Ask for access; blocks, one request.

    Raises:
        SourceUnusable: there is no such channel or VOD.
        SourceGone: Twitch gives no access now.
    """
    with _plugin(what, settings) as plugin:
        live = isinstance(what, TwitchChannel)
        name = what.login if isinstance(what, TwitchChannel) else what.video_id
        try:
            kind, *told = plugin.api.access_token(live, name)
        except PluginError as error:
            raise _sorted(what, error) from error
        if kind != "token":
            raise token_refused(what, ": ".join(str(part) for part in told if part))
        signature, token = told
        if signature is None:
            raise no_token(what)
        if live:
            url = plugin.usher.channel(name, sig=signature, token=token, fast_bread=True)
        else:
            url = plugin.usher.video(name, nauthsig=signature, nauth=token)
        headers = {
            key: str(value)
            for key, value in plugin.session.http.headers.items()
            if key.lower() not in _NOT_SENT
        }
    return Pass(url=settings.usher_url + url.removeprefix(USHER), token=token, headers=headers)


def ask_about(what: TwitchChannel | TwitchVideo, settings: TwitchSettings) -> About:
    """Ask for a title and the broadcast's id; blocks, one request; empty when it is not told."""
    with _plugin(what, settings) as plugin:
        try:
            if isinstance(what, TwitchChannel):
                broadcast_id, _, _, title = plugin.api.metadata_channel(what.login)
                return About(broadcast_id=broadcast_id, title=title)
            _, _, _, title = plugin.api.metadata_video(what.video_id)
        except (PluginError, TypeError):
            # The plugin's own reading of a page without a game or a broadcast ends so.
            return About()
        return About(title=title)


@contextmanager
def _plugin(what: TwitchChannel | TwitchVideo, settings: TwitchSettings) -> Iterator[Any]:
    session = Streamlink(plugins_builtin=False)
    session.set_option("http-trust-env", False)
    session.set_option("http-timeout", settings.timeout_s)
    session.http.headers.update({"referer": _PLAYER, "origin": _PLAYER})
    if settings.gql_url != GQL:
        session.http.mount(GQL, _Elsewhere(GQL, settings.gql_url))
    options = Options({"supported-codecs": list(_CODECS)})
    try:
        make: Any = Twitch  # the plugin is untyped
        yield make(session, f"https://www.{what.shown}", options)
    finally:
        session.http.close()


def _sorted(what: TwitchChannel | TwitchVideo, error: PluginError) -> Exception:
    cause = getattr(error, "err", None)
    if isinstance(cause, HTTPError) and cause.response is not None:
        return twitch_away(what, cause.response.status_code)
    return twitch_away(what, None)
