"""Runs librdkafka's mock cluster until standard input ends; prints its address."""

from __future__ import annotations

import sys

from confluent_kafka import Producer

cluster = Producer({"bootstrap.servers": "", "test.mock.num.brokers": "1", "log_level": 0})
[broker] = cluster.list_topics(timeout=30.0).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
