from __future__ import annotations

from bus.events import EVENTS
from bus.topics import TOPICS, Topic, dlq_name


def test_every_event_has_a_topic() -> None:
    assert {event.TOPIC for event in EVENTS} == TOPICS.keys()


def test_a_released_key_never_changes_its_partition() -> None:
    topic = Topic("chat", 4)
    assert [topic.partition_of(key) for key in ("a", "channel-1", "", "ünïcode")] == [3, 2, 0, 2]


def test_a_key_lies_in_the_same_partition_of_every_topic() -> None:
    for key in ("a", "b", "a-long-channel-name"):
        assert len({topic.partition_of(key) for topic in TOPICS.values()}) == 1


def test_keys_are_spread() -> None:
    parts = [TOPICS["chat"].partition_of(f"channel-{n}") for n in range(400)]
    assert all(parts.count(part) > 60 for part in range(TOPICS["chat"].partitions))


def test_dead_letters_have_a_topic_of_their_own() -> None:
    assert dlq_name("chat") == "chat.dlq"
    assert dlq_name("chat") not in TOPICS
