"""What the pages can be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSettings:
    """The status page, the clips page and the media behind them."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback shows your clips to the network: there is no
    login yet, so put a proxy that asks for one in front."""
    port: int = 8420
    """Port to listen on; 0 takes any free one."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")
    """Names under which a browser may ask for the pages, without the port; `*` allows any.
    A page of a stranger cannot reach a service on your own machine by a name of its own."""
    public_url: str = ""
    """Address under which a browser reaches the pages, such as `https://clips.example.com`; Twitch
    sends a login back to it. `http://localhost` with the port when empty."""
    media_secret: str = ""
    """Signs the links to videos. Empty: made anew at each start, so old links end with it."""
    link_ttl_s: float = 6 * 3600.0
    """How long a link to a video is good at the least; at most twice as long."""
    media_origin: str = ""
    """Where the bucket that holds the objects answers browsers, such as
    `https://s3.eu-central-1.amazonaws.com`: videos and pictures come from there, by addresses that
    are signed for 15 minutes at most. They pass through this service when empty."""
    refresh_s: float = 2.0
    """How often an open page asks for what is new."""
    sessions_max: int = 50
    """How many sessions the status page lists."""
    connections_max: int = 200
    """Connections at once; more are answered 503."""
    drain_s: float = 5.0
    """How long open answers may go on after the service is told to stop."""
