"""Events and fakes that the tests of this room share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bus.events import (
    ChatWindow,
    Event,
    LoudnessMeasured,
    MomentDetected,
    SessionEnded,
    SessionStarted,
    SpeechHeard,
    Word,
)
from store.errors import ObjectMissing
from store.objects import ObjectInfo

WHO = {"tenant_id": "t1", "channel_id": "c1", "session_id": "s1"}


def started(kind: str = "live", *, has_chat: bool = True, **more: object) -> SessionStarted:
    return SessionStarted(**WHO, kind=kind, title="", source="", has_chat=has_chat, **more)  # type: ignore[arg-type]


def ended(media_s: float, chat_until_s: float = 0.0) -> SessionEnded:
    return SessionEnded(
        **WHO,
        media_s=media_s,
        chat_until_s=chat_until_s,
        stored_s=media_s,
        missing_s=0.0,
        reason="ended",
    )


def loudness(
    seq: int,
    media_s: float,
    duration_s: float,
    rms_db: Sequence[float] = (),
    voice: Sequence[int] = (),
    *,
    gap: bool = False,
) -> LoudnessMeasured:
    return LoudnessMeasured(
        **WHO,
        epoch=0,
        seq=seq,
        media_s=media_s,
        duration_s=duration_s,
        rms_db=tuple(rms_db),
        voice=tuple(voice),
        gap=gap,
    )


def speech(
    seq: int,
    media_s: float,
    duration_s: float,
    words: Sequence[tuple[str, float, float]],
    engine: str = "whisper",
    confidence: float = 0.9,
) -> SpeechHeard:
    return SpeechHeard(
        **WHO,
        epoch=0,
        seq=seq,
        media_s=media_s,
        duration_s=duration_s,
        words=tuple(
            Word(text=text, start_s=start_s, end_s=end_s, confidence=confidence)
            for text, start_s, end_s in words
        ),
        engine=engine,  # type: ignore[arg-type]
    )


def chat(media_s: float, messages: int = 0) -> ChatWindow:
    return ChatWindow(**WHO, media_s=media_s, messages=messages)


class Notebook:
    """A detector that writes down what it is fed, and tells each event as a moment."""

    name = "notebook"
    wants: tuple[type[Event], ...] = (ChatWindow, LoudnessMeasured, SpeechHeard)

    def __init__(self) -> None:
        self.fed: list[Event] = []
        self.flushed = False

    def feed(self, event: Event) -> list[MomentDetected]:
        self.fed.append(event)
        at_s = float(getattr(event, "media_s", 0.0))
        return [
            MomentDetected(
                **WHO,
                kind=type(event).__name__,
                start_s=at_s,
                peak_s=at_s,
                end_s=at_s,
                decided_s=at_s,
                score=0.5,
            )
        ]

    def flush(self) -> list[MomentDetected]:
        self.flushed = True
        return []


class FakeObjects:
    """Objects in a dictionary, with failures on demand."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.failures: dict[str, list[Exception]] = {}

    async def put(self, key: str, data: bytes | Path) -> None:
        self.kept[key] = data.read_bytes() if isinstance(data, Path) else data

    async def get(self, key: str) -> bytes:
        if self.failures.get(key):
            raise self.failures[key].pop(0)
        if key not in self.kept:
            raise ObjectMissing(key)
        return self.kept[key]

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.kept.pop(key, None)

    async def list(self, prefix: str) -> Sequence[ObjectInfo]:
        return [
            ObjectInfo(key, len(body))
            for key, body in sorted(self.kept.items())
            if key.startswith(prefix)
        ]


class CountingMeter:
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, ...], float] = {}
        self.gauges: dict[str, float] = {}

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        key = (name, *labels.values())
        self.counts[key] = self.counts.get(key, 0.0) + by

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        pass
