"""What can go wrong between us and Twitch, by whose fault it is."""

from bus.errors import Unavailable
from store.errors import StoreError


class TwitchError(StoreError):
    """Twitch did not do what it was asked."""


class LoginRefused(TwitchError):
    """Twitch says no for good: the code, the token or the permission is not valid any more."""


class NotLent(TwitchError):
    """A channel's token is not for a worker to have; the message says why."""


class TokensAway(TwitchError, Unavailable):
    """Whoever keeps the tokens cannot be asked now, or does not take the question as ours."""


class LoginUnavailable(TwitchError, Unavailable):
    """Twitch's login cannot be reached or is broken at present; the permission may well stand."""
