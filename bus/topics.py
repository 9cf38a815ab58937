"""Topics and which of a topic's partitions an event belongs to.

Law: a key always lies in the same partition, and equal keys lie in partitions of equal number in
every topic; the number of a topic's partitions never changes once it has been released.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zlib import crc32

from bus.errors import BusError
from bus.events import EVENTS
from bus.ports import TopicPartition

PARTITIONS = 4
"""Enough for a few members of each group; all topics share it, so that a member of several topics
owns all of a channel's partitions."""

DLQ_SUFFIX = ".dlq"


@dataclass(frozen=True, slots=True)
class Topic:
    """A named set of ordered logs."""

    name: str
    partitions: int

    def partition_of(self, key: str) -> int:
        """Return the partition that holds this key."""
        return crc32(key.encode()) % self.partitions


TOPICS: Mapping[str, Topic] = {
    name: Topic(name, PARTITIONS) for name in dict.fromkeys(event.TOPIC for event in EVENTS)
}
"""Every topic, by name."""


def places_of(key: str, topics: Iterable[str]) -> list[TopicPartition]:
    """Return the partition of each topic that holds a key.

    Raises:
        BusError: there is no such topic.
    """
    known(topics)
    return [TopicPartition(topic, TOPICS[topic].partition_of(key)) for topic in topics]


def known(topics: Iterable[str]) -> None:
    """Refuse topics that are none of ours.

    Raises:
        BusError: there is no such topic.
    """
    if unknown := [topic for topic in topics if topic not in TOPICS]:
        raise BusError(f"there is no topic {', '.join(unknown)}")


def dlq_name(topic: str) -> str:
    """Return the topic that takes this topic's poison records."""
    return topic + DLQ_SUFFIX
