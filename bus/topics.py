"""Topics and which of a topic's partitions an event belongs to.

Law: a key always lies in the same partition, and equal keys lie in partitions of equal number in
every topic; the number of a topic's partitions never changes once it has been released.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

from bus.events import EVENTS

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


def dlq_name(topic: str) -> str:
    """Return the topic that takes this topic's poison records."""
    return topic + DLQ_SUFFIX
