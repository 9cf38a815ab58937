"""Events as Kafka messages: CloudEvents 1.0 in binary mode, and dead letters.

Law: the value is the codec's bytes, everything else stands in headers; a message of another make
is still read, as far as its value can be decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2s
from typing import NamedTuple, Protocol

import orjson

from bus.codec import encode, headers
from bus.errors import BusError
from bus.events import Event, SessionStarted
from bus.ports import DeadLetter, TopicPartition
from bus.topics import TOPICS, dlq_name

Headers = Sequence[tuple[str, bytes]]

_STAMP = "ce_stamp"
_BEGINNING = SessionStarted.TYPE.encode()
_FENCED = ("ce_fenced", b"1")
_LETTER = "letter"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a place and the bytes that go there."""

    topic: str
    partition: int
    event_id: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    first: bool = False
    """Must be acknowledged before anything behind it is sent to another partition."""

    @property
    def place(self) -> TopicPartition:
        """The partition that it goes to."""
        return TopicPartition(self.topic, self.partition)

    @property
    def is_fenced(self) -> bool:
        """Whether it may be sent only while whoever published it may write."""
        return _FENCED in self.headers


class Arrived(NamedTuple):
    """A message that has been read and not yet handed out."""

    offset: int
    stamp: int
    at_s: float
    event_id: bytes
    """Empty when the message names none."""
    session_id: bytes
    begins: bool
    """It is a SessionStarted."""
    key: bytes
    value: bytes


class Stamps:
    """A hybrid logical clock: microseconds that only grow, here and from sender to reader."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_s: float) -> int:
        """Return a stamp above all that have been given or seen."""
        self._last = max(self._last + 1, round(now_s * 1_000_000))
        return self._last

    def saw(self, stamp: int) -> None:
        """Note the stamp of something that has been read."""
        self._last = max(self._last, stamp)


class Consumed(Protocol):
    """What the client library hands out."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def message_of(event: Event, at_s: float, stamp: int, *, is_fenced: bool = False) -> Message:
    """Return the message that tells an event.

    Raises:
        MalformedEvent: the event holds what JSON cannot carry.
        BusError: it names no topic of ours.
    """
    topic = TOPICS.get(event.TOPIC)
    if topic is None:
        raise BusError(f"{type(event).__name__} names no topic of ours: {event.TOPIC!r}")
    told = headers(event, at_s=at_s, traceparent=traceparent(event))
    return Message(
        topic=topic.name,
        partition=topic.partition_of(event.key),
        event_id=event.event_id,
        key=event.key.encode(),
        value=encode(event),
        headers=[*told, (_STAMP, b"%d" % stamp), *([_FENCED] if is_fenced else [])],
        first=isinstance(event, SessionStarted),
    )


def traceparent(event: Event) -> str:
    """Return the W3C trace context: a session is one trace, an event one span of it."""
    trace = blake2s(event.session_id.encode(), digest_size=16).hexdigest()
    span = blake2s(event.event_id.encode(), digest_size=8).hexdigest()
    return f"00-{trace}-{span}-01"


def arrived(record: Consumed) -> Arrived:
    """Return what a message says without decoding its value."""
    told = dict(record.headers)
    try:
        at_s = _seconds(told["ce_time"])
    except (KeyError, ValueError):
        at_s = record.timestamp / 1000
    try:
        stamp = int(told[_STAMP])
    except (KeyError, ValueError):
        stamp = record.timestamp * 1000
    return Arrived(
        record.offset,
        stamp,
        at_s,
        told.get("ce_id", b""),
        told.get("ce_subject", b""),
        told.get("ce_type") == _BEGINNING,
        record.key or b"",
        record.value or b"",
    )


@lru_cache(maxsize=256)
def _seconds(iso: bytes) -> float:
    """What is published together carries one time."""
    return datetime.fromisoformat(iso.decode()).timestamp()


def letter_of(
    group: str, place: TopicPartition, found: Arrived, error: str, attempts: int, at_s: float
) -> Message:
    """Return the dead letter of a record."""
    told = {
        "group": group,
        "topic": place.topic,
        "partition": place.partition,
        "offset": found.offset,
        "attempts": attempts,
        "error": error,
        "at_s": at_s,
    }
    return Message(
        topic=dlq_name(place.topic),
        partition=place.partition,
        event_id=f"{group}/{place.topic}/{place.partition}/{found.offset}",
        key=found.key,
        value=found.value,
        headers=[(_LETTER, orjson.dumps(told))],
    )


def read_letter(record: Consumed) -> DeadLetter | None:
    """Return the dead letter that a message is; None when it is none of ours."""
    try:
        told: Mapping[str, object] = orjson.loads(dict(record.headers)[_LETTER])
        return DeadLetter(
            topic=str(told["topic"]),
            partition=int(str(told["partition"])),
            offset=int(str(told["offset"])),
            group=str(told["group"]),
            attempts=int(str(told["attempts"])),
            error=str(told["error"]),
            at_s=float(str(told["at_s"])),
            value=record.value or b"",
        )
    except (KeyError, ValueError, orjson.JSONDecodeError):
        return None
