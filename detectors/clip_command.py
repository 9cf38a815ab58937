"""Turns viewers' clip commands into moments.

Law: a command asks for what its writer has just seen, so the moment lies before it; several
viewers who ask within seconds of each other ask for the same moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from bus.events import (
    ChatWindow,
    ClipCommand,
    Event,
    MomentDetected,
    ReactionLearned,
    SessionStarted,
)
from detectors.settings import ClipCommandSettings

_MAY: Mapping[str, frozenset[str]] = {
    "everyone": frozenset({"viewer", "subscriber", "vip", "moderator", "broadcaster"}),
    "subscribers": frozenset({"subscriber", "vip", "moderator", "broadcaster"}),
    "moderators": frozenset({"moderator", "broadcaster"}),
}
_USERS_MAX = 10_000
"""Users whose cooldown is remembered; beyond it the one who asked longest ago is forgotten."""


class ClipCommands:
    """Moments from chat commands: gathered for a few seconds, then decided as one.

    The first command opens a request; others within `gather_s` join it. From the first command on,
    the channel takes no new request for `channel_cooldown_s`.
    """

    def __init__(
        self, started: SessionStarted, settings: ClipCommandSettings | None = None
    ) -> None:
        self._started = started
        self._settings = settings or ClipCommandSettings()
        self._asked: list[ClipCommand] = []
        self._last_by_user: OrderedDict[str, float] = OrderedDict()
        self._open_again_s = 0.0
        self._seen_until_s = 0.0
        self._lag_s = self._settings.reaction_s

    @property
    def name(self) -> str:
        """The `kind` of its moments."""
        return "clip_command"

    @property
    def wants(self) -> tuple[type[Event], ...]:
        """The event types that `feed` is called with."""
        return (ChatWindow, ReactionLearned)

    def feed(self, event: Event) -> list[MomentDetected]:
        """Take the next second of chat; return the request that is complete by now, if any."""
        if isinstance(event, ReactionLearned):
            self._lag_s = max(0.0, self._settings.reaction_s + event.delay_s - event.usual_s)
        if not isinstance(event, ChatWindow):
            return []
        self._seen_until_s = max(self._seen_until_s, event.media_s + event.duration_s)
        moments = []
        for command in sorted(event.commands, key=lambda asked: asked.at_s):
            if self._is_complete(command.at_s):
                moments += self._decide()
            self._take(command)
        if self._is_complete(self._seen_until_s):
            moments += self._decide()
        return moments

    def flush(self) -> list[MomentDetected]:
        """Return the request that is still being gathered."""
        return self._decide()

    def _is_complete(self, until_s: float) -> bool:
        return bool(self._asked) and until_s >= self._asked[0].at_s + self._settings.gather_s

    def _take(self, command: ClipCommand) -> None:
        settings = self._settings
        if command.role not in _MAY[settings.who]:
            return
        last_s = self._last_by_user.get(command.user)
        if last_s is not None and command.at_s < last_s + settings.user_cooldown_s:
            return
        if not self._asked:
            if command.at_s < self._open_again_s:
                return
            self._open_again_s = command.at_s + settings.channel_cooldown_s
        self._remember(command)
        self._asked.append(command)

    def _remember(self, command: ClipCommand) -> None:
        self._last_by_user[command.user] = command.at_s
        self._last_by_user.move_to_end(command.user)
        if len(self._last_by_user) > _USERS_MAX:
            self._last_by_user.popitem(last=False)

    def _decide(self) -> list[MomentDetected]:
        asked, self._asked = self._asked, []
        if not asked:
            return []
        settings, first = self._settings, asked[0]
        viewers = len({command.user for command in asked})
        peak_s = max(0.0, first.at_s - self._lag_s)
        return [
            MomentDetected(
                tenant_id=self._started.tenant_id,
                channel_id=self._started.channel_id,
                session_id=self._started.session_id,
                kind=self.name,
                start_s=max(0.0, peak_s - settings.before_s),
                peak_s=peak_s,
                end_s=peak_s + settings.after_s,
                decided_s=self._seen_until_s,
                score=1.0 - (1.0 - settings.score_one) * settings.doubt_left ** (viewers - 1),
                evidence={"viewers": viewers, "user": first.user, "text": first.text},
            )
        ]
