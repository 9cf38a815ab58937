"""What one connected user wants to be told of, and what Twitch has granted on the open session.

Law: whatever is wanted and not had is asked for again: at once in a new session, later after a
refusal, with growing waits after a failure (429, 5xx, no answer), which twitchio would log and
forget. Only `Tokens` renews a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import Literal, Protocol

from bus.errors import Unavailable
from bus.ports import Meter
from ingest.timer import Timer
from ingest.twitch.eventsub_api import CHAT, ApiRefused, ApiUnreachable, EventSubApi, Want
from ingest.twitch.eventsub_frames import Notified, Revoked
from ingest.twitch.eventsub_settings import EventSubSettings
from store.twitch.tokens import CHAT_SCOPE, Tokens, UserToken

_log = logging.getLogger(__name__)

SUBSCRIPTIONS_MAX = 300
"""Twitch's limit for one socket; what a user's channel needs stays far below."""
COST_MAX = 10
"""Twitch's limit for all of a user's subscriptions together."""
_RETRY_MAX_S = 300.0
_STATUSES = frozenset(
    {"authorization_revoked", "user_removed", "version_removed", "moderator_removed"}
)


class Ear(Protocol):
    """Who is told what a user's socket hears."""

    def heard(self, login: str, event: Notified) -> None:
        """Take an event that came on `login`'s socket."""
        ...

    def joined(self, login: str, want: Want) -> None:
        """Take note that what is wanted comes from now on."""
        ...

    def cut(self, login: str, want: Want, heard_s: float) -> None:
        """Take note that it comes no more; the socket surely still heard at `heard_s`."""
        ...

    def refused(self, login: str, want: Want, why: str) -> None:
        """Take note that Twitch does not allow it now."""
        ...


class SessionUnknown(Exception):
    """Twitch does not know the session any more that a subscription was for."""


class AccessGone(Exception):
    """The user has taken the permission back or disconnected, or it cannot be renewed."""

    def __init__(self, *, is_told: bool) -> None:
        """`is_told`: Twitch said so on the socket, and the keeper of tokens does not know yet."""
        super().__init__("the permission is gone")
        self.is_told = is_told


class Subscriptions:
    """One user's subscriptions."""

    def __init__(
        self,
        login: str,
        ear: Ear,
        *,
        api: EventSubApi,
        tokens: Tokens,
        settings: EventSubSettings,
        timer: Timer,
        meter: Meter,
    ) -> None:
        """Want nothing yet."""
        self._login = login
        self._ear = ear
        self._api = api
        self._tokens = tokens
        self._settings = settings
        self._timer = timer
        self._meter = meter
        self._wants: dict[Want, None] = {}
        self._had: dict[Want, str] = {}
        self._held_back: dict[Want, tuple[float, float]] = {}
        self._changed = asyncio.Event()
        self._is_to_look = False
        self.user_id = ""
        """Twitch's number of the user, once a token has told it."""

    @property
    def wants(self) -> tuple[Want, ...]:
        """What is wanted."""
        return tuple(self._wants)

    def fit(self, *wants: Want) -> bool:
        """Return whether Twitch's limits allow these too."""
        new = [want for want in wants if want not in self._wants]
        cost = sum(want.cost for want in (*self._wants, *new))
        return cost <= COST_MAX and len(self._wants) + len(new) <= SUBSCRIPTIONS_MAX

    def want(self, want: Want) -> None:
        """Have something told from now on; an empty `broadcaster_id` means the user's channel."""
        if want not in self._wants:
            self._wants[want] = None
            self._changed.set()

    def unwant(self, want: Want) -> None:
        """Have it told no more."""
        if want in self._wants:
            del self._wants[want]
            self._held_back.pop(want, None)
            self._changed.set()

    def look_again(self) -> None:
        """Look at the permission at once, and ask for what was refused.

        Somebody says that something has changed: connected, disconnected, more or less allowed.
        """
        self._held_back.clear()
        self._is_to_look = True
        self._changed.set()

    def allowed(self, token: UserToken) -> bool:
        """Return whether anything that is wanted can be had with this token."""
        return any(_allows(token, want) for want in self._wants)

    def refuse_all(self, why: str) -> None:
        """Tell that nothing can be had now."""
        for want in self._wants:
            self._ear.refused(self._login, want, why)

    def lose_all(self, heard_s: float) -> None:
        """Take note that the session is over; it surely still heard at `heard_s`, Unix time."""
        for want in tuple(self._had):
            self._lose(want, heard_s)

    def revoke(self, revoked: Revoked, heard_s: float) -> None:
        """Take note that Twitch has ended a subscription.

        Raises:
            AccessGone: the user has taken the permission back.
        """
        status = revoked.status if revoked.status in _STATUSES else "other"
        self._meter.count("clipthat_eventsub_revoked_total", status=status)
        for want in tuple(self._had):
            if (want.type, self._broadcaster(want)) == (revoked.type, revoked.broadcaster_id):
                self._lose(want, heard_s)
                self._hold_back(want, self._settings.recheck_s)
                self._ear.refused(self._login, want, status)
        if status == "authorization_revoked":
            raise AccessGone(is_told=True)

    async def keep(self, token: UserToken, session_id: str) -> None:
        """Make and end the session's subscriptions as they are wanted; ends by an error only.

        Raises:
            AccessGone: the token can no longer be renewed, or the user has disconnected.
            SessionUnknown: the session is over.
        """
        self.user_id = token.user_id
        while True:
            self._changed.clear()
            if self._is_to_look:
                token = await self._looked_at(token)
            token = await self._ask(token, session_id)
            again_s = min((at_s for at_s, _ in self._held_back.values()), default=math.inf)
            await self.rest(again_s - self._timer.now())

    async def rest(self, seconds: float) -> None:
        """Wait, but no longer than until something changes."""
        if self._changed.is_set():
            return
        async with asyncio.TaskGroup() as group:
            changing = group.create_task(self._changed.wait())
            if math.isfinite(seconds):
                sleeping = group.create_task(self._sleep(max(0.0, seconds)))
                await asyncio.wait({changing, sleeping}, return_when=asyncio.FIRST_COMPLETED)
                changing.cancel()
                sleeping.cancel()

    def now_is_known(self) -> None:
        """Begin to notice changes from here on."""
        self._changed.clear()
        self._is_to_look = False

    async def _sleep(self, seconds: float) -> Literal[True]:
        await self._timer.sleep(seconds)
        return True

    async def _looked_at(self, token: UserToken) -> UserToken:
        """Return the user's token as it is by now."""
        self._is_to_look = False
        try:
            now = await self._tokens.of(self._login)
        except Unavailable as away:
            _log.warning("not looked again", extra={"channel": self._login, "error": str(away)})
            return token
        if now is None or now.user_id != token.user_id:
            raise AccessGone(is_told=False)
        return now

    async def _ask(self, token: UserToken, session_id: str) -> UserToken:
        for want in [want for want in self._had if want not in self._wants]:
            subscription_id = self._had[want]
            self._lose(want, self._timer.now())
            with contextlib.suppress(ApiRefused, ApiUnreachable):
                await self._api.unsubscribe(token, subscription_id)
        for want in sorted(self._wants, key=lambda want: want.type != CHAT):
            if want in self._had or self._held_back.get(want, (0.0, 0.0))[0] > self._timer.now():
                continue
            if _allows(token, want):
                token = await self._ask_for(want, token, session_id)
            else:
                self._refuse(want)
        return token

    async def _ask_for(self, want: Want, token: UserToken, session_id: str) -> UserToken:
        """Ask for one subscription; returns the token that Twitch takes."""
        asked = Want(want.type, self._broadcaster(want), want.cost)
        for is_fresh in (False, True):
            try:
                subscription_id = await self._api.subscribe(token, asked, session_id)
            except ApiRefused as refused:
                if refused.status == 401 and not is_fresh:
                    try:
                        fresh = await self._tokens.refused(token)
                    except Unavailable as away:
                        self._on_failure(want, "401", str(away))
                        break
                    if fresh is None:
                        raise AccessGone(is_told=False) from None
                    token = fresh
                    continue
                self._on_refusal(want, refused)
            except ApiUnreachable as unreachable:
                self._on_failure(want, "none", str(unreachable))
            else:
                self._have(want, subscription_id)
            break
        return token

    def _on_refusal(self, want: Want, refused: ApiRefused) -> None:
        """Decide what an answer means that is no subscription."""
        if refused.status == 409:
            self._have(want, "")
        elif refused.status == 400 and "session" in str(refused):
            raise SessionUnknown(str(refused))
        elif refused.status in {400, 403, 404, 410}:
            self._meter.count("clipthat_eventsub_refused_total", status=str(refused.status))
            self._refuse(want)
        else:
            self._on_failure(want, str(refused.status), str(refused))

    def _on_failure(self, want: Want, status: str, why: str) -> None:
        before_s = self._held_back.get(want, (0.0, 0.0))[1]
        wait_s = min(before_s * 2, _RETRY_MAX_S) if before_s else self._settings.retry_first_s
        self._hold_back(want, wait_s)
        self._meter.count("clipthat_eventsub_refused_total", status=status)
        _log.warning(
            "not subscribed yet",
            extra={"channel": self._login, "type": want.type, "error": why, "again_s": wait_s},
        )

    def _refuse(self, want: Want) -> None:
        self._hold_back(want, self._settings.recheck_s)
        self._ear.refused(self._login, want, "not allowed")

    def _have(self, want: Want, subscription_id: str) -> None:
        self._held_back.pop(want, None)
        self._had[want] = subscription_id
        self._ear.joined(self._login, want)

    def _lose(self, want: Want, heard_s: float) -> None:
        if self._had.pop(want, None) is not None:
            self._ear.cut(self._login, want, heard_s)

    def _hold_back(self, want: Want, wait_s: float) -> None:
        self._held_back[want] = (self._timer.now() + wait_s, wait_s)

    def _broadcaster(self, want: Want) -> str:
        return want.broadcaster_id or self.user_id


def _allows(token: UserToken, want: Want) -> bool:
    return not want.type.startswith("channel.chat.") or CHAT_SCOPE in token.scopes
