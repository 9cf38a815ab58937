"""Whether live sessions want replays to hold back.

Law: pure. A word is believed for `believed_s` only: who said it may have died before it could say
that it has caught up, and a replay must not wait for the dead.
"""

from __future__ import annotations

from bus.events import LiveLagged


class Pressure:
    """The live sessions that are behind, by what was told of them last."""

    def __init__(self, believed_s: float) -> None:
        self._believed_s = believed_s
        self._behind: dict[str, float] = {}

    def note(self, told: LiveLagged, at_s: float) -> None:
        """Take a word that was said at Unix time `at_s`."""
        if told.over:
            self._behind.pop(told.session_id, None)
        else:
            self._behind[told.session_id] = at_s

    def is_on(self, now_s: float) -> bool:
        """Say whether a session is behind at Unix time `now_s`."""
        for session_id, at_s in list(self._behind.items()):
            if now_s - at_s > self._believed_s:
                del self._behind[session_id]
        return bool(self._behind)
