"""What the connect page says: permissions with their reasons, and how a try has ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """One permission that ClipThat may ask for."""

    name: str
    """As Twitch calls it."""
    title: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a try has ended."""

    good: bool
    heading: str
    advice: str


SCOPES: tuple[Scope, ...] = (
    Scope(
        name="user:read:chat",
        title="Read your chat reliably",
        reason="Twitch delivers every message to a connected app, with the badges that show who "
        "is a moderator. Without it chat is read as an anonymous viewer, and Twitch leaves "
        "messages out when a chat is very fast.",
    ),
    Scope(
        name="clips:edit",
        title="Make Twitch clips too",
        reason="The best moments also become clips on your channel's own Clips page. Without it "
        "the finished videos are here only, and nothing appears on Twitch.",
    ),
)
"""All that is ever asked for."""

RESULTS: dict[str, Result] = {
    "connected": Result(
        good=True,
        heading="Twitch is connected",
        advice="What you have allowed is in use from now on. You can take it back at any time.",
    ),
    "disconnected": Result(
        good=True,
        heading="Disconnected",
        advice="The permission is given back to Twitch and forgotten here. Your channel can still "
        "be watched.",
    ),
    "untold": Result(
        good=False,
        heading="Forgotten here, but Twitch could not be told",
        advice="Remove ClipThat under Settings → Connections on twitch.tv as well.",
    ),
    "denied": Result(
        good=False,
        heading="You did not allow it",
        advice="Nothing has changed. Channels can be watched without connecting.",
    ),
    "expired": Result(
        good=False,
        heading="That login is not valid any more",
        advice="It was begun more than ten minutes ago, used before, or begun in another browser. "
        "Press the button again.",
    ),
    "refused": Result(
        good=False,
        heading="Twitch did not accept the login",
        advice="Press the button again. If it stays so, compare the app's client id, secret and "
        "redirect URL at dev.twitch.tv/console with what is set here.",
    ),
    "unreachable": Result(
        good=False,
        heading="Twitch cannot be reached",
        advice="Nothing has changed. Try again in a minute; if it stays so, check the network and "
        "the app's client id and secret.",
    ),
    "nothing": Result(
        good=False,
        heading="Nothing was chosen",
        advice="Tick at least one permission, or leave it: channels can be watched without.",
    ),
    "unready": Result(
        good=False,
        heading="The app is not set up yet",
        advice="Set its client id and secret first, as described below.",
    ),
}
"""How a try has ended, by the word in the page's address."""

_REASONS = {
    "revoked": "The permission was taken back at Twitch.",
    "refused": "Twitch does not renew the permission any more.",
    "key": "The key that opens its tokens is not here any more.",
}


def why(reason: str) -> str:
    """Say why an account must be reconnected."""
    return _REASONS.get(reason, "The permission does not work any more.")
