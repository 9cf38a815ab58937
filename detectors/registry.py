"""The list of detectors.

Law: a new detector is one file, one settings class and one line here. Beside them stands what
learns the delay that they take off.
"""

from __future__ import annotations

from bus.events import SessionStarted
from detectors.answers import Answers
from detectors.chat_spike import ChatSpike
from detectors.clip_command import ClipCommands
from detectors.excitement import Excitement
from detectors.port import Detector
from detectors.reaction import Reaction
from detectors.settings import DetectorsSettings
from detectors.spoken_phrase import SpokenPhrase


def make_detectors(settings: DetectorsSettings, started: SessionStarted) -> list[Detector]:
    """Return fresh detectors for one session, those that are switched on."""
    detectors: list[Detector] = []
    if settings.chat_spike.enabled:
        detectors.append(ChatSpike(started, settings.chat_spike))
    if settings.clip_command.enabled:
        detectors.append(ClipCommands(started, settings.clip_command))
    if settings.spoken_phrase.enabled:
        detectors.append(SpokenPhrase(started, settings.spoken_phrase))
    if settings.excitement.enabled:
        detectors.append(Excitement(started, settings.excitement))
    return detectors


def make_reaction(settings: DetectorsSettings, started: SessionStarted) -> Reaction | None:
    """Return what learns how long chat takes to answer; None without chat or switched off."""
    if not settings.reaction.enabled or not started.has_chat:
        return None
    answers = Answers(started, settings.reaction, settings.chat_spike)
    return Reaction(started, settings.reaction, answers)
