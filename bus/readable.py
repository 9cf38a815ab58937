"""A stored value as a record, where it can be read."""

from __future__ import annotations

import logging

from bus.codec import decode
from bus.errors import MalformedEvent, UnknownEvent
from bus.ports import Record, TopicPartition

log = logging.getLogger(__name__)


def readable(place: TopicPartition, offset: int, at_s: float, value: bytes) -> Record | None:
    """Return the record, or None for one that whoever reads in a group puts into the dead letters.

    Args:
        place: the partition that it lies in.
        offset: where in it.
        at_s: Unix time at which it was published.
        value: what `encode` has made of its event.
    """
    try:
        event = decode(value)
    except (MalformedEvent, UnknownEvent) as error:
        log.warning(
            "record cannot be read",
            extra={"topic": place.topic, "offset": offset, "error": str(error)},
        )
        return None
    return Record(place.topic, place.partition, offset, at_s, event)
