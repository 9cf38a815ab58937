"""Feeds one session's features and chat to its detectors.

Law: the two topics are merged by media time on their watermarks, so the order in which they
arrive never changes what the detectors see. A segment's features stand where the segment before
it ended; a chat window stands at its start; on a tie the features go first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from bus.events import (
    ChatWindow,
    Event,
    FrameDescribed,
    LoudnessMeasured,
    MomentDetected,
    MomentsSettled,
    ReactionLearned,
    SessionEnded,
    SessionStarted,
    SpeechHeard,
)
from detectors.port import Detector
from detectors.reaction import Reaction
from detectors.settings import HostSettings

Outcome = MomentDetected | MomentsSettled | ReactionLearned

_SLACK_S = 0.001
"""Two ways of adding up the same durations may differ by this much."""


class DetectorHost:
    """The detectors of one session behind one `feed`.

    A `MomentsSettled` promises that every moment whose `decided_s` is not later has been given out.
    Settled times are ends of segments, so they too follow from the events alone.
    """

    def __init__(
        self,
        started: SessionStarted,
        detectors: Sequence[Detector],
        settings: HostSettings | None = None,
        reaction: Reaction | None = None,
    ) -> None:
        self._started = started
        self._reaction = reaction
        self._opened = False
        self._detectors = tuple(detectors)
        self._settings = settings or HostSettings()
        live = started.kind == "live"
        self._settle_s = self._settings.settle_live_s if live else self._settings.settle_replay_s
        self._features: deque[tuple[float, Event]] = deque()
        self._chat: deque[tuple[float, Event]] = deque()
        self._features_mark = 0.0
        self._chat_mark = 0.0 if started.has_chat else math.inf
        self._last_segment = (-1, -1)
        self._segment_ids: set[str] = set()
        self._settled_s = 0.0
        self._ended: SessionEnded | None = None
        self._final = False
        self.forced = 0
        """Events fed without their counterpart because too many were waiting."""

    @property
    def done(self) -> bool:
        """The session has ended and its last word has been given out."""
        return self._final

    @property
    def waiting(self) -> int:
        """How many events are held until the other topic has come as far."""
        return len(self._features) + len(self._chat)

    def feed(self, event: Event) -> list[Outcome]:
        """Take the session's next event of any topic; return what can be told now, in order."""
        if self._final:
            return []
        match event:
            case LoudnessMeasured() | SpeechHeard():
                self._take_feature(event, (event.epoch, event.seq))
            case FrameDescribed():
                self._take_feature(event, None)
            case ChatWindow():
                self._take_chat(event)
            case SessionEnded():
                self._ended = event
            case _:
                return []
        self._close_finished_topics()
        return self._drain()

    def _take_feature(
        self,
        event: LoudnessMeasured | SpeechHeard | FrameDescribed,
        segment: tuple[int, int] | None,
    ) -> None:
        is_known = event.event_id in self._segment_ids
        if is_known or (segment is not None and segment <= self._last_segment):
            return
        if self._features_mark == math.inf:
            return
        self._segment_ids.add(event.event_id)
        self._features.append((self._features_mark, event))
        if not isinstance(event, LoudnessMeasured):
            return
        self._last_segment = (event.epoch, event.seq)
        self._segment_ids.clear()
        self._features_mark = max(self._features_mark, event.end_s)
        if self._features_mark >= self._settled_s + self._settle_s:
            self._settled_s = self._features_mark
            self._features.append((self._settled_s, self._settled(self._settled_s)))

    def _take_chat(self, event: ChatWindow) -> None:
        if event.media_s < self._chat_mark - _SLACK_S:
            return
        self._chat.append((event.media_s, event))
        self._chat_mark = event.media_s + event.duration_s

    def _close_finished_topics(self) -> None:
        if self._ended is None:
            return
        if self._features_mark >= self._ended.media_s - _SLACK_S:
            self._features_mark = math.inf
        if self._chat_mark >= self._ended.chat_until_s - _SLACK_S:
            self._chat_mark = math.inf

    def _drain(self) -> list[Outcome]:
        out = self._open()
        while (event := self._next()) is not None:
            out += self._tell(event)
        while self.waiting > self._settings.waiting_max:
            _, event = (self._features or self._chat).popleft()
            self.forced += 1
            if not isinstance(event, MomentsSettled):
                out += self._tell(event)
        if self._ended is not None and self._features_mark == self._chat_mark == math.inf:
            self._final = True
            for detector in self._detectors:
                out += detector.flush()
            out.append(self._settled(self._ended.media_s, final=True))
        return out

    def _open(self) -> list[Outcome]:
        """Say, before anything else, what earlier sessions have taught."""
        if self._opened or self._reaction is None:
            return []
        self._opened = True
        learned = self._reaction.opening()
        return [] if learned is None else [learned, *self._ask(learned)]

    def _next(self) -> Event | None:
        """Pop the event that is certainly the next one, whatever arrives later."""
        feature_s = self._features[0][0] if self._features else self._features_mark
        chat_s = self._chat[0][0] if self._chat else self._chat_mark
        if self._features and feature_s <= chat_s:
            return self._features.popleft()[1]
        if self._chat and chat_s < feature_s:
            return self._chat.popleft()[1]
        return None

    def _tell(self, event: Event) -> list[Outcome]:
        if isinstance(event, MomentsSettled):
            return [event]
        told = self._ask(event)
        learned = self._reaction.feed(event) if self._reaction is not None else None
        if learned is not None:
            told += [learned, *self._ask(learned)]
        return told

    def _ask(self, event: Event) -> list[Outcome]:
        moments: list[Outcome] = []
        for detector in self._detectors:
            if isinstance(event, detector.wants):
                moments += detector.feed(event)
        return moments

    def _settled(self, media_s: float, *, final: bool = False) -> MomentsSettled:
        return MomentsSettled(
            tenant_id=self._started.tenant_id,
            channel_id=self._started.channel_id,
            session_id=self._started.session_id,
            media_s=media_s,
            final=final,
        )
