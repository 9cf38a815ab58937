"""Some of the promises on librdkafka's mock cluster, wherever the tests run.

It stands in for Kafka where none can run, and has to be fit for that; and it refuses requests on
demand, which Kafka does not.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import ProducerClosed

from bus.errors import Fenced
from bus.kafka import KafkaBus
from bus.kafka_client import KafkaClient
from tests.bus.conftest import OpenBus, kafka_settings, opens_kafka
from tests.bus.test_contract import (
    behind,
    read,
    seconds,
    test_a_poison_record_goes_to_the_dead_letters_and_the_rest_goes_on,
    test_a_waiting_reader_sees_what_another_process_publishes,
    test_an_id_that_is_there_already_is_left_out,
    test_each_key_keeps_its_order_among_many,
    test_events_come_back_equal_and_in_order,
    test_lag_tells_messages_and_the_age_of_the_oldest,
    test_several_topics_come_in_the_order_of_publishing,
    test_two_groups_read_everything_each,
)
from tests.bus.test_kafka_bad_days import (
    test_headers_say_what_cloud_events_ask_for,
    test_what_was_fenced_by_a_dead_process_is_dropped,
)
from tests.bus.world import SteppedClock, window, windows
from tests.services.kafka_mock import MockKafka

__all__ = [
    "test_a_poison_record_goes_to_the_dead_letters_and_the_rest_goes_on",
    "test_a_waiting_reader_sees_what_another_process_publishes",
    "test_an_id_that_is_there_already_is_left_out",
    "test_each_key_keeps_its_order_among_many",
    "test_events_come_back_equal_and_in_order",
    "test_headers_say_what_cloud_events_ask_for",
    "test_lag_tells_messages_and_the_age_of_the_oldest",
    "test_several_topics_come_in_the_order_of_publishing",
    "test_two_groups_read_everything_each",
    "test_what_was_fenced_by_a_dead_process_is_dropped",
]

SESSION_S = 30.0
"""No group here changes its members, so none is kept waiting."""
PRODUCE, FETCH, COMMIT = 0, 1, 8
NOT_LEADER, COORDINATOR_LOADING, NOT_COORDINATOR, TOO_FEW_REPLICAS = 6, 14, 16, 19
ILLEGAL_GENERATION, OUT_OF_ORDER, UNKNOWN_PRODUCER, INVALID_RECORD = 22, 45, 59, 87


@pytest.fixture
def open_bus(mock_kafka: MockKafka, tmp_path: Path, clock: SteppedClock) -> OpenBus:
    """Return a function that opens the bus on the mock cluster once more."""
    return opens_kafka(mock_kafka, tmp_path, clock, session_s=SESSION_S)


@pytest.fixture
def broker(mock_kafka: MockKafka) -> MockKafka:
    """The mock cluster; it is well again between two tests."""
    return mock_kafka


@pytest.mark.parametrize(
    "error",
    [NOT_LEADER, TOO_FEW_REPLICAS, OUT_OF_ORDER, UNKNOWN_PRODUCER, INVALID_RECORD],
)
async def test_what_the_broker_refuses_at_first_follows_in_order(
    broker: MockKafka, tmp_path: Path, error: int
) -> None:
    settings = kafka_settings(broker, session_s=SESSION_S, retry_s=0.0)
    async with (
        KafkaBus.open(tmp_path, settings) as bus,
        bus.subscribe("g", ["chat"]) as subscription,
    ):
        await bus.publish([window(0)])
        broker.refuse(PRODUCE, [error])
        await bus.publish([window(1), window(2)])
        await bus.publish([window(3)])
        records = await read(subscription, 4)
        assert seconds(records) == [0, 1, 2, 3]


async def test_a_reader_goes_on_after_a_broker_that_is_no_leader_for_a_moment(
    broker: MockKafka, tmp_path: Path
) -> None:
    async with (
        KafkaBus.open(tmp_path, kafka_settings(broker, session_s=SESSION_S)) as bus,
        bus.subscribe("g", ["chat"]) as subscription,
    ):
        broker.refuse(FETCH, [NOT_LEADER, NOT_LEADER])
        await bus.publish(windows(3))
        assert seconds(await read(subscription, 3)) == [0, 1, 2]


async def test_a_commit_waits_for_a_coordinator_that_has_to_be_found_first(
    broker: MockKafka, tmp_path: Path
) -> None:
    async with (
        KafkaBus.open(tmp_path, kafka_settings(broker, session_s=SESSION_S)) as bus,
        bus.subscribe("g", ["chat"]) as subscription,
    ):
        await bus.publish(windows(3))
        records = await read(subscription, 3)
        broker.refuse(COMMIT, [COORDINATOR_LOADING, NOT_COORDINATOR])
        await subscription.commit(behind(records))
        assert sum(lag.messages for lag in await bus.lag("g")) == 0


async def test_a_commit_of_a_generation_that_is_over_is_fenced(
    broker: MockKafka, tmp_path: Path
) -> None:
    async with (
        KafkaBus.open(tmp_path, kafka_settings(broker, session_s=SESSION_S)) as bus,
        bus.subscribe("g", ["chat"]) as subscription,
    ):
        await bus.publish(windows(3))
        records = await read(subscription, 3)
        broker.refuse(COMMIT, [ILLEGAL_GENERATION])
        with pytest.raises(Fenced):
            await subscription.commit(behind(records))


async def until(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110  # the library has no event for it
        await asyncio.sleep(0)


async def test_a_producer_that_is_thrown_away_while_it_tries_again_leaves_no_error_behind(
    broker: MockKafka,
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    client = KafkaClient(kafka_settings(broker))
    await client.ensure(["chat"])
    producer = client.producer()
    await producer.start()
    await producer.send_and_wait(client.name("chat"), b"", partition=0)
    batch = producer.create_batch()
    batch.append(timestamp=None, key=None, value=b"")
    [connection] = producer.client._conns.values()
    broker.freeze()
    try:
        answer = await producer.send_batch(batch, client.name("chat"), partition=0)
        await until(lambda: connection._requests)
        connection.close()
        await until(lambda: producer._message_accumulator._batches)
        await client.drop_producer(producer, clean=False)
    finally:
        broker.thaw()
    with pytest.raises(ProducerClosed):
        await answer
    answer = producer = None
    gc.collect()
    assert told == []
